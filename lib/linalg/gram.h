#pragma once
// Sums of outer products of inputs: the Hessians of layer-wise reconstruction.

#include <cstdint>
#include <span>

#include "linalg/gemm.h"
#include "support/thread_pool.h"

namespace thimble::linalg {

// The lower triangle of H [n, n] += X^T X for X [tokens, n], both row-major. An element takes one
// fused multiply-add per token, in order, so calls over consecutive tokens give the bits of one
// call over all of them. Elements above the diagonal keep what they hold.
void gram(std::span<const float> x, std::int64_t tokens, std::int64_t n, std::span<float> h,
          ThreadPool& pool, const GemmKernels* kernels = nullptr);

// H [n, m] += X^T Y for X [tokens, n] and Y [tokens, m]: every element, in the same order.
void cross_gram(std::span<const float> x, std::span<const float> y, std::int64_t tokens,
                std::int64_t n, std::int64_t m, std::span<float> h, ThreadPool& pool,
                const GemmKernels* kernels = nullptr);

// total += shard, element by element: folds an f32 sum over one shard of tokens into the sum over
// all of them. Shards are folded in index order. Works on triangles and whole matrices alike.
void fold(std::span<const float> shard, std::span<double> total, ThreadPool& pool);

}  // namespace thimble::linalg

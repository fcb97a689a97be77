#pragma once
// Triangular factors of symmetric positive definite matrices, in f64. Every element takes one fused
// multiply-add per k, k ascending, as the plain algorithm does: blocks and threads change no bit.

#include <cstdint>
#include <span>
#include <vector>

#include "linalg/gemm.h"
#include "support/expected.h"
#include "support/thread_pool.h"

namespace thimble::linalg {

// A [n, n], row-major, becomes L with A = L L^T. Only the lower triangle is read and written. The
// error names the first pivot that isn't positive; A is then half done.
Status cholesky(std::span<double> a, std::int64_t n, ThreadPool& pool,
                const GemmKernels* kernels = nullptr);

// A lower triangle L [n, n], row-major, becomes L^-1. Only the lower triangle is read and written;
// the diagonal isn't 0.
void invert_lower(std::span<double> l, std::int64_t n, ThreadPool& pool,
                  const GemmKernels* kernels = nullptr);

// The upper Cholesky factor U of H^-1: H^-1 = U^T U, [n, n] row-major with zeros below the
// diagonal, computed in f64 and rounded to f32. Reads H's lower triangle [n, n] and destroys it.
// H^-1 itself is never formed: with H = R R^T, R upper (a Cholesky factor from the last row up), U
// = R^-1. Errors as cholesky() does; the pivot is H's own index.
Expected<std::vector<float>> inverse_upper(std::span<double> h, std::int64_t n, ThreadPool& pool,
                                           const GemmKernels* kernels = nullptr);

}  // namespace thimble::linalg

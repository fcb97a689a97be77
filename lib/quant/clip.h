#pragma once
// How far weights are cut before they are rounded: the second search of AWQ (Lin et al. 2023,
// arXiv 2306.00978; section "weight clipping" of its experiments and its reference code). A group's
// largest weights lose something so that all others get finer steps; how much is chosen by what the
// group's part of the layer's outputs loses.

#include <cstdint>
#include <span>
#include <vector>

#include "quant/hessian.h"
#include "quant/quantize.h"
#include "support/thread_pool.h"

namespace thimble::quant {

struct ClipResult {
  std::vector<float> limits;  // of |w|, [rows, groups]; infinite where nothing is cut
  // Sum over rows of e H e^T, e = w - Q(cut w): with nothing cut, and with these limits. Never
  // more.
  double rounding_error = 0;
  double error = 0;
};

// Tries limits from 1 to 0.3 times the largest |w| of each group, and takes those of the least e_g
// H_gg e_g^T of the group g (the largest of equals). `weights` are finite; `scales` [inputs], > 0:
// they were multiplied by these and their inputs are divided, so H, which is that of the inputs
// before, is too. The same on every machine and for any number of threads.
Expected<ClipResult> clip(const WeightMatrix& weights, std::span<const float> scales,
                          const Hessian& hessian, const ir::Encoding& encoding,
                          const SearchOptions& search, ThreadPool& pool);

// Cuts rows of weights at their limits: weights [rows, inputs], limits [rows, groups].
void cut_rows(std::span<float> weights, std::span<const float> limits, std::int64_t inputs,
              const ir::Encoding& encoding);

}  // namespace thimble::quant

#pragma once
// Activation-aware scales (AWQ, Lin et al. 2023, arXiv 2306.00978, equations 4 and 5): inputs that
// are large on average get finer steps, s = magnitude^alpha, and the layer before divides by s.

#include <cstdint>
#include <span>
#include <vector>

#include "quant/quantize.h"
#include "support/thread_pool.h"

namespace thimble::quant {

struct AwqOptions {
  int grid = 20;  // alpha is 0, 1/grid, ..., (grid - 1)/grid; >= 1
  Search search = Search::kMse;
  // Then look how far each group's weights are best cut; takes the whole Hessian.
  bool clip = false;
};

struct AwqResult {
  std::vector<float> scales;  // [inputs], > 0; sqrt(largest * smallest) is 1
  double alpha = 0;
  // Sums over rows of e H e^T, e = w - Q(w s) / s: with s = 1 and with the scales that were chosen.
  double rounding_error = 0;
  double error = 0;
  // By layer, of |w s|, [rows, groups]; infinite where nothing is cut. Empty without `clip`.
  std::vector<std::vector<float>> limits;
};

// A layer among several that share their inputs.
struct AwqLayer {
  WeightMatrix weights;
  ir::Encoding encoding;
};

// The alpha with the least error (the smaller of equals), summed over the layers. `magnitudes`
// [inputs] are means of |x|, finite and >= 0; inputs of equal magnitudes get equal scales.
// `hessian` is X^T X [inputs, inputs], of which the lower triangle is read, or its diagonal alone
// [inputs]. The same on every machine and for any number of threads.
Expected<AwqResult> awq(std::span<const AwqLayer> layers, std::int64_t inputs,
                        std::span<const float> magnitudes, std::span<const double> hessian,
                        const AwqOptions& options, ThreadPool& pool);

}  // namespace thimble::quant

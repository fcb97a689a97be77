#pragma once
// A product of two thin matrices that makes up for the error of a quantized weight: least in the
// weights (LoRC, Yao et al. 2023, arXiv 2303.08302) or, given the Hessian of the inputs, in the
// layer's outputs (EoRA, Liu et al. 2024, arXiv 2410.21271).

#include <cstdint>
#include <span>
#include <vector>

#include "support/expected.h"
#include "support/thread_pool.h"

namespace thimble::quant {

struct LowRank {
  std::int64_t rank = 0;
  std::vector<float> a;  // [rows, rank]
  std::vector<float> b;  // [rank, inputs]; b's row i is as long as a's column i
  // Sums over rows of e H e^T (of e e^T without a Hessian), before and after.
  double error_before = 0;
  double error = 0;
};

struct LowRankOptions {
  std::int64_t rank = 32;  // >= 1; cut to what the matrix has
  // Added to the Hessian's diagonal as a fraction of its mean where directions are chosen; > 0.
  double damp = 1e-4;
};

// A B [rows, inputs] nearest to `errors` = W - Q(W) [rows, inputs], row-major. With M = errors L,
// damped H = L L^T, and M's first left singular vectors U: A B = U U^T errors, which is EoRA's
// product of the whitened error's best approximation and the inverse whitening, without that
// inverse. `hessian` [inputs, inputs], its lower triangle, or empty: LoRC. The same on every
// machine; the singular vectors come from an eigen decomposition of min(rows, inputs)^2 numbers on
// one thread.
Expected<LowRank> low_rank(std::span<const float> errors, std::int64_t rows, std::int64_t inputs,
                           std::span<const double> hessian, const LowRankOptions& options,
                           ThreadPool& pool);

}  // namespace thimble::quant

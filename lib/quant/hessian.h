#pragma once
// The Hessian of layer-wise reconstruction, X^T X: what an error in the weights costs in the
// layer's outputs.

#include <cstdint>
#include <span>
#include <vector>

#include "linalg/gemm.h"
#include "quant/weight_matrix.h"
#include "support/expected.h"
#include "support/thread_pool.h"

namespace thimble::quant {

// A view of X^T X [inputs, inputs], row-major, of which only the lower triangle is read. Borrowed.
class Hessian {
 public:
  // The error names an element that isn't finite or a diagonal below 0.
  static Expected<Hessian> make(std::span<const double> values, std::int64_t inputs);

  std::int64_t inputs() const { return inputs_; }
  double at(std::int64_t i, std::int64_t j) const {
    return values_[static_cast<std::size_t>(i >= j ? i * inputs_ + j : j * inputs_ + i)];
  }
  double diagonal(std::int64_t i) const { return at(i, i); }
  std::vector<double> diagonal() const;  // [inputs]
  // 1 / the mean of the diagonal over inputs that live; 1 when none does.
  double unit() const { return unit_; }
  // Inputs that were always 0.
  std::vector<std::int64_t> dead() const;
  // The diagonal over its largest element; empty when all are 0.
  std::vector<float> importance() const;
  // unit() times the matrix with row and column i that of order[i], `damp` added to the diagonal
  // and the diagonal of dead inputs 1: [inputs, inputs], the lower triangle.
  std::vector<double> permuted(std::span<const std::int64_t> order, double damp,
                               ThreadPool& pool) const;
  // Sum over rows of e H e^T for errors e [rows, inputs].
  double error(std::span<const float> errors, std::int64_t rows, ThreadPool& pool,
               const linalg::GemmKernels* kernels = nullptr) const;

 private:
  Hessian(std::span<const double> values, std::int64_t inputs);

  std::span<const double> values_;
  std::int64_t inputs_;
  double unit_ = 1;
};

// Sum over rows of 2 w D e^T for weights w, errors e of each and D [inputs, inputs], row-major; 0
// when D is empty.
double cross_error(const WeightMatrix& weights, std::span<const float> errors,
                   std::span<const double> d, ThreadPool& pool,
                   const linalg::GemmKernels* kernels = nullptr);

}  // namespace thimble::quant

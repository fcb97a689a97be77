#include "quant/hessian.h"

#include <cmath>
#include <string>

#include "linalg/gram.h"
#include "quant/quantize.h"

namespace thimble::quant {
namespace {

// Sum over rows i of term(i), f64: each row's by one thread, then in order.
template <class F>
double sum_over_rows(std::int64_t rows, ThreadPool& pool, F term) {
  std::vector<double> sums(static_cast<std::size_t>(rows));
  pool.parallel_each(sums.size(), 16,
                     [&](std::size_t i) { sums[i] = term(static_cast<std::int64_t>(i)); });
  double total = 0;
  for (const double sum : sums) total += sum;
  return total;
}

// Sum of a[i] b[i], in order.
double inner(const float* a, const double* b, std::int64_t count) {
  double sum = 0;
  for (std::int64_t i = 0; i < count; ++i) sum += static_cast<double>(a[i]) * b[i];
  return sum;
}

}  // namespace

Hessian::Hessian(std::span<const double> values, std::int64_t inputs)
    : values_(values), inputs_(inputs) {
  double sum = 0;
  std::int64_t live = 0;
  for (std::int64_t i = 0; i < inputs; ++i) {
    sum += diagonal(i);
    live += diagonal(i) > 0;
  }
  if (live > 0) unit_ = static_cast<double>(live) / sum;
}

Expected<Hessian> Hessian::make(std::span<const double> values, std::int64_t inputs) {
  THIMBLE_CHECK(std::ssize(values) == inputs * inputs, "the Hessian is [inputs, inputs]");
  for (std::int64_t i = 0; i < inputs; ++i) {
    for (std::int64_t j = 0; j <= i; ++j) {
      const double x = values[static_cast<std::size_t>(i * inputs + j)];
      if (std::isfinite(x) && (i != j || x >= 0)) continue;
      return unsupported(
                 "the Hessian of the inputs holds a number that is not finite or a "
                 "diagonal below 0 at " +
                 std::to_string(i) + ", " + std::to_string(j))
          .fix("look for overflow in the activations that it was gathered from");
    }
  }
  return Hessian(values, inputs);
}

std::vector<std::int64_t> Hessian::dead() const {
  std::vector<std::int64_t> out;
  for (std::int64_t i = 0; i < inputs_; ++i) {
    if (diagonal(i) == 0) out.push_back(i);
  }
  return out;
}

std::vector<double> Hessian::diagonal() const {
  std::vector<double> out;
  for (std::int64_t i = 0; i < inputs_; ++i) out.push_back(diagonal(i));
  return out;
}

std::vector<float> Hessian::importance() const { return relative_importance(diagonal()); }

std::vector<double> Hessian::permuted(std::span<const std::int64_t> order, double damp,
                                      ThreadPool& pool) const {
  std::vector<double> out(static_cast<std::size_t>(inputs_ * inputs_));
  pool.parallel_each(order.size(), 16, [&](std::size_t i) {
    double* row = out.data() + static_cast<std::int64_t>(i) * inputs_;
    for (std::size_t j = 0; j <= i; ++j) row[j] = at(order[i], order[j]) * unit_;
    row[i] = (row[i] == 0 ? 1 : row[i]) + damp;
  });
  return out;
}

// The sum over rows of e H e^T is that of (E^T E)_ij H_ij over all i and j.
double Hessian::error(std::span<const float> errors, std::int64_t rows, ThreadPool& pool,
                      const linalg::GemmKernels* kernels) const {
  THIMBLE_CHECK(std::ssize(errors) == rows * inputs_, "errors are [rows, inputs]");
  std::vector<float> products(values_.size());
  linalg::gram(errors, rows, inputs_, products, pool, kernels);
  return sum_over_rows(inputs_, pool, [&](std::int64_t i) {
    const std::int64_t row = i * inputs_;
    const float* product = products.data() + row;
    return 2 * inner(product, values_.data() + row, i) + product[i] * diagonal(i);
  });
}

double cross_error(const WeightMatrix& weights, std::span<const float> errors,
                   std::span<const double> d, ThreadPool& pool,
                   const linalg::GemmKernels* kernels) {
  if (d.empty()) return 0;
  const std::int64_t inputs = weights.inputs;
  std::vector<float> products(d.size());
  linalg::cross_gram(weights.values, errors, weights.rows, inputs, inputs, products, pool, kernels);
  return 2 * sum_over_rows(inputs, pool, [&](std::int64_t i) {
           return inner(products.data() + i * inputs, d.data() + i * inputs, inputs);
         });
}

}  // namespace thimble::quant

#include "quant/hessian.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "support/checked.h"

namespace thimble::quant {
namespace {

using linalg::Region;
using linalg::row_major;
using linalg::Update;

// Of the product that errors are measured by: columns that are held at once.
constexpr std::int64_t kColumns = 256;

// Sum of a[i] b[i] in f64: by rows in order, then over rows in order.
double inner(linalg::Matrix<const float> a, linalg::Matrix<const float> b, ThreadPool& pool) {
  std::vector<double> sums(static_cast<std::size_t>(a.rows));
  pool.parallel_for(sums.size(), 16, [&](std::size_t begin, std::size_t end) {
    for (auto i = static_cast<std::int64_t>(begin); i < static_cast<std::int64_t>(end); ++i) {
      double sum = 0;
      for (std::int64_t j = 0; j < a.columns; ++j) {
        sum += static_cast<double>(a.at(i, j)) * b.at(i, j);
      }
      sums[static_cast<std::size_t>(i)] = sum;
    }
  });
  double total = 0;
  for (const double sum : sums) total += sum;
  return total;
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

std::vector<float> Hessian::importance() const {
  double most = 0;
  for (std::int64_t i = 0; i < inputs_; ++i) most = std::max(most, diagonal(i));
  if (most == 0) return {};
  std::vector<float> out;
  for (std::int64_t i = 0; i < inputs_; ++i) out.push_back(static_cast<float>(diagonal(i) / most));
  return out;
}

std::vector<double> Hessian::permuted(std::span<const std::int64_t> order, double damp,
                                      ThreadPool& pool) const {
  std::vector<double> out(static_cast<std::size_t>(inputs_ * inputs_));
  pool.parallel_for(order.size(), 16, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) {
      double* row = out.data() + static_cast<std::int64_t>(i) * inputs_;
      for (std::size_t j = 0; j <= i; ++j) row[j] = at(order[i], order[j]) * unit_;
      row[i] = (row[i] == 0 ? 1 : row[i]) + damp;
    }
  });
  return out;
}

// e H e^T = 2 e L e^T, where L is the lower triangle with half of the diagonal: an element of e L
// needs no more than the rows from its own on.
double Hessian::error(std::span<const float> errors, std::int64_t rows, ThreadPool& pool,
                      const linalg::GemmKernels* kernels) const {
  THIMBLE_CHECK(std::ssize(errors) == rows * inputs_, "errors are [rows, inputs]");
  const auto all = row_major(errors.data(), rows, inputs_);
  double total = 0;
  for (std::int64_t j = 0; j < inputs_; j += kColumns) {
    const std::int64_t width = std::min(kColumns, inputs_ - j), depth = inputs_ - j;
    std::vector<float> part(static_cast<std::size_t>(depth * width));
    for (std::int64_t k = 0; k < depth; ++k) {
      for (std::int64_t c = 0; c < std::min(k + 1, width); ++c) {
        const double x = at(j + k, j + c) * unit_;
        part[static_cast<std::size_t>(k * width + c)] = static_cast<float>(k == c ? x / 2 : x);
      }
    }
    std::vector<float> product(static_cast<std::size_t>(rows * width));
    gemm(all.block(0, j, rows, depth), row_major<const float>(part.data(), depth, width),
         row_major(product.data(), rows, width), Update::kAdd, Region::kAll, pool, kernels);
    total += inner(row_major<const float>(product.data(), rows, width),
                   all.block(0, j, rows, width), pool);
  }
  return 2 * total / unit_;
}

double cross_error(std::span<const float> weights, std::span<const float> errors, std::int64_t rows,
                   std::int64_t inputs, std::span<const double> d, ThreadPool& pool,
                   const linalg::GemmKernels* kernels) {
  if (d.empty()) return 0;
  const auto all = row_major(weights.data(), rows, inputs);
  double total = 0;
  for (std::int64_t j = 0; j < inputs; j += kColumns) {
    const std::int64_t width = std::min(kColumns, inputs - j);
    std::vector<float> part(static_cast<std::size_t>(inputs * width));
    for (std::int64_t k = 0; k < inputs; ++k) {
      for (std::int64_t c = 0; c < width; ++c) {
        part[static_cast<std::size_t>(k * width + c)] =
            static_cast<float>(d[static_cast<std::size_t>(k * inputs + j + c)]);
      }
    }
    std::vector<float> product(static_cast<std::size_t>(rows * width));
    gemm(all, row_major<const float>(part.data(), inputs, width),
         row_major(product.data(), rows, width), Update::kAdd, Region::kAll, pool, kernels);
    total += inner(row_major<const float>(product.data(), rows, width),
                   row_major(errors.data(), rows, inputs).block(0, j, rows, width), pool);
  }
  return 2 * total;
}

}  // namespace thimble::quant

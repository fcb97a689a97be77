#include "quant/low_rank.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "linalg/cholesky.h"
#include "linalg/eigen.h"
#include "linalg/gemm.h"
#include "quant/hessian.h"

namespace thimble::quant {
namespace {

using linalg::Matrix;
using linalg::Region;
using linalg::row_major;
using linalg::Update;

std::vector<double> product(Matrix<const double> a, Matrix<const double> b, ThreadPool& pool) {
  std::vector<double> c(static_cast<std::size_t>(a.rows * b.columns));
  gemm(a, b, row_major(c.data(), a.rows, b.columns), Update::kAdd, Region::kAll, pool);
  return c;
}

// errors L, or the errors themselves without a Hessian.
Expected<std::vector<double>> whitened(std::span<const float> errors, std::int64_t rows,
                                       std::int64_t inputs, const Hessian* hessian, double damp,
                                       ThreadPool& pool) {
  std::vector<double> e(errors.begin(), errors.end());
  if (hessian == nullptr) return e;
  std::vector<std::int64_t> order(static_cast<std::size_t>(inputs));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  std::vector<double> l = hessian->permuted(order, damp, pool);
  if (Status status = linalg::cholesky(l, inputs, pool); !status) {
    return std::move(status)
        .error()
        .note("this is the Hessian of the inputs, damped")
        .fix("calibrate with more tokens, or set `whiten: false`");
  }
  return product(row_major<const double>(e.data(), rows, inputs),
                 row_major<const double>(l.data(), inputs, inputs), pool);
}

// The first `rank` left singular vectors of M [rows, columns], as rows: [rank, rows].
Expected<std::vector<double>> left_vectors(Matrix<const double> m, std::int64_t rank,
                                           ThreadPool& pool) {
  const bool wide = m.rows <= m.columns;
  const Matrix<const double> tall = wide ? m.transposed() : m;
  const std::int64_t n = tall.columns;
  std::vector<double> gram(static_cast<std::size_t>(n * n));
  gemm(tall.transposed(), tall, row_major(gram.data(), n, n), Update::kAdd, Region::kLower, pool);
  THIMBLE_ASSIGN(linalg::SymmetricEigen eigen, linalg::symmetric_eigen(gram, n));
  eigen.vectors.resize(static_cast<std::size_t>(rank * n));
  if (wide) return std::move(eigen.vectors);
  std::vector<double> u =
      product(row_major<const double>(eigen.vectors.data(), rank, n), m.transposed(), pool);
  for (std::int64_t i = 0; i < rank; ++i) {
    const double s = eigen.values[static_cast<std::size_t>(i)];
    const double inverse = s > 0 ? 1 / std::sqrt(s) : 0;
    for (std::int64_t j = 0; j < m.rows; ++j)
      u[static_cast<std::size_t>(i * m.rows + j)] *= inverse;
  }
  return u;
}

double squares(std::span<const float> errors) {
  double total = 0;
  for (const float e : errors) total += static_cast<double>(e) * e;
  return total;
}

// Shares each component's length between its two vectors.
void balance(const std::vector<double>& u, const std::vector<double>& b, std::int64_t rows,
             std::int64_t inputs, LowRank& out) {
  for (std::int64_t i = 0; i < out.rank; ++i) {
    double length = 0;
    for (std::int64_t j = 0; j < inputs; ++j) {
      const double x = b[static_cast<std::size_t>(i * inputs + j)];
      length += x * x;
    }
    const double share = std::sqrt(std::sqrt(length)), inverse = share > 0 ? 1 / share : 0;
    for (std::int64_t j = 0; j < rows; ++j) {
      out.a[static_cast<std::size_t>(j * out.rank + i)] =
          static_cast<float>(u[static_cast<std::size_t>(i * rows + j)] * share);
    }
    for (std::int64_t j = 0; j < inputs; ++j) {
      const auto at = static_cast<std::size_t>(i * inputs + j);
      out.b[at] = static_cast<float>(b[at] * inverse);
    }
  }
}

}  // namespace

Expected<LowRank> low_rank(std::span<const float> errors, std::int64_t rows, std::int64_t inputs,
                           std::span<const double> hessian, const LowRankOptions& options,
                           ThreadPool& pool) {
  THIMBLE_CHECK(std::ssize(errors) == rows * inputs, "errors are [rows, inputs]");
  THIMBLE_CHECK(options.rank >= 1 && options.damp > 0, "options lie in their ranges");
  std::optional<Hessian> view;
  if (!hessian.empty()) {
    THIMBLE_ASSIGN(view, Hessian::make(hessian, inputs));
  }
  const auto measure = [&](std::span<const float> e) {
    return view ? view->error(e, rows, pool) : squares(e);
  };
  LowRank out;
  out.rank = std::min({options.rank, rows, inputs});
  out.error_before = measure(errors);
  out.a.resize(static_cast<std::size_t>(rows * out.rank));
  out.b.resize(static_cast<std::size_t>(out.rank * inputs));
  THIMBLE_ASSIGN(const auto m,
                 whitened(errors, rows, inputs, view ? &*view : nullptr, options.damp, pool));
  THIMBLE_ASSIGN(const auto u,
                 left_vectors(row_major<const double>(m.data(), rows, inputs), out.rank, pool));
  const std::vector<double> e(errors.begin(), errors.end());
  const auto b = product(row_major<const double>(u.data(), out.rank, rows),
                         row_major<const double>(e.data(), rows, inputs), pool);
  balance(u, b, rows, inputs, out);
  std::vector<float> rest(errors.begin(), errors.end());
  gemm(row_major<const float>(out.a.data(), rows, out.rank),
       row_major<const float>(out.b.data(), out.rank, inputs), row_major(rest.data(), rows, inputs),
       Update::kSubtract, Region::kAll, pool);
  out.error = measure(rest);
  return out;
}

}  // namespace thimble::quant

#include "linalg/cholesky.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>

#include "support/checked.h"
#include "support/text.h"

namespace thimble::linalg {
namespace {

constexpr std::int64_t kBlock = 128;

// A pivot that isn't positive.
struct BadPivot {
  std::int64_t index;
  double value;
};

Error not_positive(BadPivot pivot) {
  return invalid_argument("the matrix is not positive definite: pivot " +
                          std::to_string(pivot.index) + " is " + format_significant(pivot.value));
}

// The plain algorithm on a block of a few columns.
std::optional<BadPivot> factor_block(Matrix<double> a) {
  for (std::int64_t j = 0; j < a.columns; ++j) {
    for (std::int64_t i = j; i < a.rows; ++i) {
      double sum = a.at(i, j);
      for (std::int64_t k = 0; k < j; ++k) sum = std::fma(-a.at(i, k), a.at(j, k), sum);
      if (i > j) {
        a.at(i, j) = sum / a.at(j, j);
        continue;
      }
      if (!(sum > 0) || std::isinf(sum)) return BadPivot{j, sum};
      a.at(j, j) = std::sqrt(sum);
    }
  }
  return std::nullopt;
}

// X becomes L^-1 X, a few columns at a time, aside: the kernel wants them padded.
void solve_columns(const TileKernels<double>& kernels, Matrix<const double> l, Matrix<double> x,
                   ThreadPool& pool) {
  const std::int64_t width = kernels.solve_columns;
  const auto strips = static_cast<std::size_t>(ceil_div(x.columns, width));
  pool.parallel_for(strips, 1, [&](std::size_t begin, std::size_t end) {
    std::vector<double> aside(static_cast<std::size_t>(x.rows * width));
    for (std::size_t strip = begin; strip < end; ++strip) {
      const std::int64_t first = static_cast<std::int64_t>(strip) * width;
      const std::int64_t count = std::min(width, x.columns - first);
      for (std::int64_t i = 0; i < x.rows; ++i) {
        for (std::int64_t j = 0; j < count; ++j) {
          aside[static_cast<std::size_t>(i * width + j)] = x.at(i, first + j);
        }
      }
      kernels.solve(l.data, l.row_stride, l.rows, aside.data(), width);
      for (std::int64_t i = 0; i < x.rows; ++i) {
        for (std::int64_t j = 0; j < count; ++j) {
          x.at(i, first + j) = aside[static_cast<std::size_t>(i * width + j)];
        }
      }
    }
  });
}

// Row and column i of the lower triangle become n - 1 - i: R R^T is then a common Cholesky factor.
void reverse(std::span<double> h, std::int64_t n, ThreadPool& pool) {
  constexpr std::int64_t kTile = 32;
  const auto tiles = static_cast<std::size_t>(ceil_div(n, kTile));
  pool.parallel_for(tiles, 1, [&](std::size_t begin, std::size_t end) {
    const std::int64_t last = std::min(static_cast<std::int64_t>(end) * kTile, n);
    for (std::int64_t first = 0; first < last; first += kTile) {  // of columns
      for (std::int64_t i = static_cast<std::int64_t>(begin) * kTile; i < last; ++i) {
        for (std::int64_t j = first; j < std::min(first + kTile, i + 1); ++j) {
          // (i, j) goes to (n-1-j, n-1-i), which is below the diagonal too; pairs swap once.
          const std::int64_t from = i * n + j, to = (n - 1 - j) * n + (n - 1 - i);
          if (from < to)
            std::swap(h[static_cast<std::size_t>(from)], h[static_cast<std::size_t>(to)]);
        }
      }
    }
  });
}

std::optional<BadPivot> factor(std::span<double> a, std::int64_t n, ThreadPool& pool,
                               const GemmKernels& kernels) {
  THIMBLE_CHECK(std::ssize(a) == n * n, "the matrix is [n, n]");
  const auto whole = row_major(a.data(), n, n);
  for (std::int64_t k = 0; k < n; k += kBlock) {
    const std::int64_t size = std::min(kBlock, n - k), rest = n - k - size;
    const auto pivot = whole.block(k, k, size, size);
    if (const auto bad = factor_block(pivot)) return BadPivot{k + bad->index, bad->value};
    if (rest == 0) break;
    const auto below = whole.block(k + size, k, rest, size);
    solve_columns(kernels.f64, pivot, below.transposed(), pool);
    gemm(below, below.transposed(), whole.block(k + size, k + size, rest, rest), Update::kSubtract,
         Region::kLower, pool, &kernels);
  }
  return std::nullopt;
}

}  // namespace

Status cholesky(std::span<double> a, std::int64_t n, ThreadPool& pool, const GemmKernels* kernels) {
  if (const auto bad = factor(a, n, pool, kernels != nullptr ? *kernels : gemm_kernels())) {
    return not_positive(*bad);
  }
  return ok();
}

void invert_lower(std::span<double> l, std::int64_t n, ThreadPool& pool,
                  const GemmKernels* kernels) {
  THIMBLE_CHECK(std::ssize(l) == n * n, "the matrix is [n, n]");
  const GemmKernels& chosen = kernels != nullptr ? *kernels : gemm_kernels();
  const auto whole = row_major(l.data(), n, n);
  std::vector<double> pivot_data, below_data;
  // Once blocks of rows before k hold those of L^-1, the rows from k on hold what of their right
  // side is left: 1 on the diagonal, less L times the rows before.
  for (std::int64_t k = 0; k < n; k += kBlock) {
    const std::int64_t size = std::min(kBlock, n - k), rest = n - k - size;
    pivot_data.assign(static_cast<std::size_t>(size * size), 0);
    below_data.resize(static_cast<std::size_t>(rest * size));
    for (std::int64_t i = 0; i < size + rest; ++i) {
      for (std::int64_t j = 0; j < size && j <= i; ++j) {
        double& from = whole.at(k + i, k + j);
        const std::size_t at = static_cast<std::size_t>((i < size ? i : i - size) * size + j);
        (i < size ? pivot_data : below_data)[at] = from;
        from = i == j ? 1 : 0;
      }
    }
    const auto pivot = row_major(pivot_data.data(), size, size);
    std::vector<double> unit(static_cast<std::size_t>(size * size));
    for (std::int64_t i = 0; i < size; ++i) unit[static_cast<std::size_t>(i * size + i)] = 1;
    solve_columns(chosen.f64, pivot, row_major(unit.data(), size, size), pool);
    for (std::int64_t i = 0; i < size; ++i) {
      std::copy_n(unit.data() + i * size, i + 1, &whole.at(k + i, k));
    }
    if (k > 0) solve_columns(chosen.f64, pivot, whole.block(k, 0, size, k), pool);
    if (rest == 0) break;
    const auto below = row_major(below_data.data(), rest, size);
    if (k > 0) {
      gemm(below, whole.block(k, 0, size, k), whole.block(k + size, 0, rest, k), Update::kSubtract,
           Region::kAll, pool, &chosen);
    }
    gemm(below, row_major(unit.data(), size, size), whole.block(k + size, k, rest, size),
         Update::kSubtract, Region::kAll, pool, &chosen);
  }
}

Expected<std::vector<float>> inverse_upper(std::span<double> h, std::int64_t n, ThreadPool& pool,
                                           const GemmKernels* kernels) {
  reverse(h, n, pool);
  if (const auto bad = factor(h, n, pool, kernels != nullptr ? *kernels : gemm_kernels())) {
    return not_positive({n - 1 - bad->index, bad->value});
  }
  invert_lower(h, n, pool, kernels);
  // U's element (i, j) is at (n-1-i, n-1-j): a row of U is one of these, back to front.
  std::vector<float> upper(static_cast<std::size_t>(n * n));
  pool.parallel_each(static_cast<std::size_t>(n), 16, [&](std::size_t turn) {
    const auto i = static_cast<std::int64_t>(turn);
    const double* row = h.data() + (n - 1 - i) * n;
    float* out = upper.data() + i * n;
    for (std::int64_t j = i; j < n; ++j) out[j] = static_cast<float>(row[n - 1 - j]);
  });
  return upper;
}

}  // namespace thimble::linalg

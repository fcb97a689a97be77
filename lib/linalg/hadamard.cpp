#include "linalg/hadamard.h"

#include <algorithm>
#include <cmath>

#include "support/error.h"
#include "support/rng.h"
#include "support/walsh_hadamard.h"

namespace thimble::linalg {
namespace {

constexpr int kOrders[] = {36, 28, 20, 12, 1};

// The Legendre symbol: 0, 1 for squares, -1 for the others, modulo a prime.
int legendre(int a, int prime) {
  a = (a % prime + prime) % prime;
  if (a == 0) return 0;
  for (int x = 1; x < prime; ++x) {
    if (x * x % prime == a) return 1;
  }
  return -1;
}

// Borders the matrix of legendre(i - j) with 1s, the first column with column_sign.
std::vector<std::int8_t> bordered(int prime, int column_sign) {
  const int n = prime + 1;
  std::vector<std::int8_t> c(static_cast<std::size_t>(n * n));
  for (int i = 0; i < n; ++i) {
    for (int j = 0; j < n; ++j) {
      const int value = i == 0 && j == 0 ? 0
                        : i == 0         ? 1
                        : j == 0         ? column_sign
                                         : legendre(i - j, prime);
      c[static_cast<std::size_t>(i * n + j)] = static_cast<std::int8_t>(value);
    }
  }
  return c;
}

// I + C for a prime of the form 4 t + 3: C is skew-symmetric.
std::vector<std::int8_t> paley_first(int prime) {
  auto h = bordered(prime, -1);
  const int n = prime + 1;
  for (int i = 0; i < n; ++i) h[static_cast<std::size_t>(i * n + i)] = 1;
  return h;
}

// For a prime of the form 4 t + 1, where C is symmetric: each element becomes 2 x 2.
std::vector<std::int8_t> paley_second(int prime) {
  const auto c = bordered(prime, 1);
  const int half = prime + 1, n = 2 * half;
  static constexpr int kZero[2][2] = {{1, -1}, {-1, -1}}, kOne[2][2] = {{1, 1}, {1, -1}};
  std::vector<std::int8_t> h(static_cast<std::size_t>(n * n));
  for (int i = 0; i < n; ++i) {
    for (int j = 0; j < n; ++j) {
      const int value = c[static_cast<std::size_t>(i / 2 * half + j / 2)];
      h[static_cast<std::size_t>(i * n + j)] =
          static_cast<std::int8_t>(value == 0 ? kZero[i % 2][j % 2] : value * kOne[i % 2][j % 2]);
    }
  }
  return h;
}

// Of a width, the part that a transform of this order times a power of 2 can mix; 0: none.
std::int64_t size_for(std::int64_t width, int order) {
  if (width % order != 0) return 0;
  std::int64_t size = order;
  while (width % (2 * size) == 0) size *= 2;
  return size;
}

}  // namespace

std::vector<std::int8_t> hadamard_matrix(int order) {
  switch (order) {
    case 1:
      return {1};
    case 12:
    case 20:
      return paley_first(order - 1);
    case 28:
    case 36:
      return paley_second(order / 2 - 1);
    default:
      THIMBLE_CHECK(false, "no Hadamard matrix of this order here");
  }
}

std::int64_t hadamard_size(std::int64_t width) {
  std::int64_t best = 1;
  for (const int order : kOrders) best = std::max(best, size_for(width, order));
  return best;
}

HadamardRotation::HadamardRotation(std::int64_t width)
    : width_(width), size_(hadamard_size(width)), signs_(static_cast<std::size_t>(width), 1.0f) {
  for (const int order : kOrders) {
    if (size_for(width, order) == size_) order_ = order;
  }
  scale_ = 1 / std::sqrt(static_cast<double>(size_));
  matrix_ = hadamard_matrix(order_);
}

HadamardRotation::HadamardRotation(std::int64_t width, std::uint64_t seed, std::string_view stream)
    : HadamardRotation(width) {
  Rng rng(seed, stream);
  for (float& sign : signs_) sign = (rng.next() >> 63) != 0 ? -1.0f : 1.0f;
}

// x [size] becomes H x over sqrt(size).
void HadamardRotation::transform(double* x, double* scratch) const {
  const std::int64_t inner = size_ / order_;
  for (std::int64_t part = 0; part < order_; ++part) walsh_hadamard(x + part * inner, inner);
  std::fill_n(scratch, size_, 0.0);
  for (std::int64_t i = 0; i < order_; ++i) {
    for (std::int64_t j = 0; j < order_; ++j) {
      const double sign = matrix_[static_cast<std::size_t>(i * order_ + j)];
      for (std::int64_t k = 0; k < inner; ++k) scratch[i * inner + k] += sign * x[j * inner + k];
    }
  }
  for (std::int64_t i = 0; i < size_; ++i) x[i] = scratch[i] * scale_;
}

void HadamardRotation::apply(std::span<float> rows, ThreadPool& pool) const {
  THIMBLE_CHECK(std::ssize(rows) % width_ == 0, "whole rows");
  const auto size = static_cast<std::size_t>(size_);
  pool.parallel_for(rows.size() / size, 1, [&](std::size_t begin, std::size_t end) {
    std::vector<double> x(size), scratch(size);
    for (std::size_t block = begin; block < end; ++block) {
      float* values = rows.data() + block * size;
      const float* signs = signs_.data() + block * size % signs_.size();
      for (std::size_t i = 0; i < size; ++i) x[i] = static_cast<double>(values[i]) * signs[i];
      transform(x.data(), scratch.data());
      for (std::size_t i = 0; i < size; ++i) values[i] = static_cast<float>(x[i]);
    }
  });
}

}  // namespace thimble::linalg

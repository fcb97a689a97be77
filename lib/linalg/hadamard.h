#pragma once
// Orthonormal Hadamard transforms with random signs: rotations that spread outliers over all inputs
// (QuIP, Chee et al. 2023, arXiv 2307.13304; QuaRot, Ashkboos et al. 2024, arXiv 2404.00456).

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "support/thread_pool.h"

namespace thimble::linalg {

// A Hadamard matrix, [order, order] row-major of +-1 with H H^T = order I, for an order of 1, 12 or
// 20 (Paley's first construction over the primes 11 and 19), 28 or 36 (his second over 13 and 17).
std::vector<std::int8_t> hadamard_matrix(int order);

// The largest divisor of width (>= 1) of the form 2^k {1, 12, 20, 28, 36}: how many inputs one
// transform mixes. At least 1 (odd widths, which only get signs).
std::int64_t hadamard_size(std::int64_t width);

// R = diag(signs) H^T / sqrt(size), block by block of `size` inputs: orthonormal, [width, width].
// H is the Kronecker product of hadamard_matrix(order) and the Sylvester matrix of size / order.
class HadamardRotation {
 public:
  // Without signs: all +1.
  explicit HadamardRotation(std::int64_t width);
  // Signs from Rng(seed, stream), the top bit of each number in turn.
  HadamardRotation(std::int64_t width, std::uint64_t seed, std::string_view stream);

  std::int64_t width() const { return width_; }
  std::int64_t size() const { return size_; }
  int order() const { return order_; }  // of the factor that is no power of 2; 1: none
  std::span<const float> signs() const { return signs_; }  // [width]

  // Each row x of [rows, width] becomes x R, computed in f64 and rounded once.
  void apply(std::span<float> rows, ThreadPool& pool) const;

 private:
  void transform(double* x, double* scratch) const;

  std::int64_t width_, size_;
  int order_ = 1;
  double scale_ = 1;  // 1 / sqrt(size)
  std::vector<std::int8_t> matrix_;
  std::vector<float> signs_;
};

}  // namespace thimble::linalg

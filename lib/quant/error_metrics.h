#pragma once
// How far an approximation is from what it stands for.

#include <span>

namespace thimble::quant {

// Sums over blocks that are added in order, in f64.
class ErrorMetrics {
 public:
  void add(std::span<const float> reference, std::span<const float> approximation);  // equally long
  double relative_squared() const;  // |r - a|^2 / |r|^2; 0 for 0 / 0, infinite for x / 0
  double sqnr_db() const;           // -10 log10 of it; infinite without error

 private:
  double signal_ = 0;
  double noise_ = 0;
};

}  // namespace thimble::quant

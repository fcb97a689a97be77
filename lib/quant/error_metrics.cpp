#include "quant/error_metrics.h"

#include <limits>
#include <numbers>

#include "support/error.h"
#include "support/math.h"

namespace thimble::quant {

void ErrorMetrics::add(std::span<const float> reference, std::span<const float> approximation) {
  THIMBLE_CHECK(reference.size() == approximation.size(), "as many numbers on both sides");
  for (std::size_t i = 0; i < reference.size(); ++i) {
    const double r = reference[i], difference = r - approximation[i];
    signal_ += r * r;
    noise_ += difference * difference;
  }
}

double ErrorMetrics::relative_squared() const {
  if (signal_ == 0) return noise_ == 0 ? 0 : std::numeric_limits<double>::infinity();
  return noise_ / signal_;
}

double ErrorMetrics::sqnr_db() const {
  return -10 * math::log(relative_squared()) / std::numbers::ln10;
}

}  // namespace thimble::quant

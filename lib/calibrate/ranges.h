#pragma once
// The range that a value's static int8 codes should cover, from what it was over the calibration.
// Memory doesn't grow with the calibration, and the result depends neither on threads nor, but for
// the moving average, on the order of what is seen.

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "calibrate/walk.h"
#include "ir/model.h"

namespace thimble::calibrate {

// Counts over [-limit, limit), where limit is a power of two that doubles as larger values come:
// neighbouring bins are then added up, so no value is counted twice or moved to another side.
class Histogram {
 public:
  static constexpr int kBins = 4096;

  void add(std::span<const float> values);  // NaN and infinities are left out
  std::uint64_t total() const { return total_; }
  std::uint64_t left_out() const { return left_out_; }
  float limit() const { return limit_; }
  float width() const { return limit_ / (kBins / 2); }
  // Of bin i: [start(i), start(i) + width()).
  float start(int i) const { return static_cast<float>(i - kBins / 2) * width(); }
  float centre(int i) const { return start(i) + width() / 2; }
  const std::vector<std::uint64_t>& counts() const { return counts_; }

 private:
  void grow();

  std::vector<std::uint64_t> counts_ = std::vector<std::uint64_t>(kBins);
  float limit_ = 0x1p-20f;
  std::uint64_t total_ = 0, left_out_ = 0;
};

struct RangeStatistics {
  Histogram histogram;
  float low = 0, high = 0;                  // extremes, 0 among them
  float average_low = 0, average_high = 0;  // exponential moving averages of each call's extremes
  std::int64_t calls = 0;

  // One call's values.
  void add(std::span<const float> values);
};

enum class RangeMethod : std::uint8_t {
  kMinMax,         // the extremes
  kMovingAverage,  // of the extremes of each call, by 0.01
  kPercentile,     // leaves out the same share of both tails
  kEntropy,        // the cut that loses least information (Migacz, GTC 2017, "8-bit Inference with
                   // TensorRT"): least KL divergence of 128 levels of |x| from all
  kMse,            // least expected squared error of cutting and rounding
};

struct Range {
  float low = 0, high = 0;  // low <= 0 <= high
};
struct RangeOptions {
  RangeMethod method = RangeMethod::kPercentile;
  double percentile = 99.999;
  bool symmetric = false;
};
Range choose_range(const RangeStatistics& statistics, const RangeOptions& options);

// Codes -127..127 that cover the range, 0 being one of them exactly.
ir::StaticScale static_scale(const Range& range, bool symmetric);
// The share of values that lie outside the range, by the histogram.
double share_outside(const Histogram& histogram, const Range& range);

// Of f32 values anywhere in the model, over all samples: one walk. Values that depend on no input
// are left out.
Expected<std::map<ir::ValueId, RangeStatistics>> observe_ranges(const ir::Model& model,
                                                                std::span<const Sample> samples,
                                                                std::span<const ir::ValueId> values,
                                                                ThreadPool& pool);

}  // namespace thimble::calibrate

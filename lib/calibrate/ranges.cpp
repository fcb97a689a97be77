#include "calibrate/ranges.h"

#include <algorithm>
#include <cmath>

#include "support/math.h"

namespace thimble::calibrate {
namespace {

constexpr int kHalf = Histogram::kBins / 2;
constexpr float kMomentum = 0.01f;

// Counts of |x| by bins of the same width.
std::vector<double> magnitudes(const Histogram& histogram) {
  std::vector<double> counts(kHalf);
  for (int i = 0; i < kHalf; ++i) {
    counts[static_cast<std::size_t>(i)] =
        static_cast<double>(histogram.counts()[static_cast<std::size_t>(kHalf + i)]) +
        static_cast<double>(histogram.counts()[static_cast<std::size_t>(kHalf - 1 - i)]);
  }
  return counts;
}

// KL divergence of the first `cut` bins, what lies beyond added to the last, from the same in 128
// levels: each level's count spread evenly over its bins that aren't empty.
double divergence(const std::vector<double>& counts, double beyond, std::size_t cut) {
  constexpr std::size_t kLevels = 128;
  double total = beyond, kl = 0;
  for (std::size_t i = 0; i < cut; ++i) total += counts[i];
  const double kept = total - beyond;
  if (kept == 0) return 0;
  for (std::size_t level = 0; level < kLevels; ++level) {
    const std::size_t begin = level * cut / kLevels, end = (level + 1) * cut / kLevels;
    double sum = 0, used = 0;
    for (std::size_t i = begin; i < end; ++i) {
      sum += counts[i];
      used += counts[i] > 0 ? 1 : 0;
    }
    for (std::size_t i = begin; i < end; ++i) {
      const double p = counts[i] + (i + 1 == cut ? beyond : 0);
      if (p == 0) continue;
      // A last bin that was empty before what lies beyond came in has no level of its own.
      const double q = counts[i] > 0 ? sum / used : 1e-9 * kept;
      kl += p / total * math::log(p / total / (q / kept));
    }
  }
  return kl;
}

float entropy_cut(const Histogram& histogram) {
  constexpr std::size_t kFirst = 128, kStep = 8;
  const std::vector<double> counts = magnitudes(histogram);
  double beyond = 0;
  for (std::size_t i = kFirst; i < counts.size(); ++i) beyond += counts[i];
  std::size_t best = counts.size();
  double least = 0;
  bool found = false;
  for (std::size_t cut = kFirst; cut <= counts.size(); cut += kStep) {
    const double kl = divergence(counts, beyond, cut);
    if (!found || kl < least) best = cut, least = kl, found = true;
    for (std::size_t i = cut; i < std::min(cut + kStep, counts.size()); ++i) beyond -= counts[i];
    if (beyond == 0) break;  // all is kept: more bins only make the levels coarser
  }
  return static_cast<float>(best) * histogram.width();
}

double squared_error(const Histogram& histogram, const Range& range, bool symmetric) {
  const double step = static_scale(range, symmetric).scale;
  double error = 0;
  for (int i = 0; i < Histogram::kBins; ++i) {
    const std::uint64_t count = histogram.counts()[static_cast<std::size_t>(i)];
    if (count == 0) continue;
    const double x = histogram.centre(i);
    const double outside = x > range.high ? x - range.high : x < range.low ? range.low - x : 0;
    error += static_cast<double>(count) * (outside * outside + step * step / 12);
  }
  return error;
}

Range mse_range(const RangeStatistics& statistics, bool symmetric) {
  constexpr int kSteps = 100;
  Range best{statistics.low, statistics.high};
  double least = squared_error(statistics.histogram, best, symmetric);
  for (int i = 1; i < kSteps; ++i) {
    const float share = static_cast<float>(i) / kSteps;
    const Range range{statistics.low * share, statistics.high * share};
    if (range.low == range.high) continue;
    const double error = squared_error(statistics.histogram, range, symmetric);
    if (error < least) best = range, least = error;
  }
  return best;
}

// The edges of the bins that hold all but `share` of the values at each end.
Range percentile_range(const RangeStatistics& statistics, double percentile) {
  const Histogram& histogram = statistics.histogram;
  const double spare = static_cast<double>(histogram.total()) * (100 - percentile) / 100 / 2;
  Range range;
  double below = 0, above = 0;
  for (int i = 0; i < Histogram::kBins; ++i) {
    below += static_cast<double>(histogram.counts()[static_cast<std::size_t>(i)]);
    if (below > spare) {
      range.low = histogram.start(i);
      break;
    }
  }
  for (int i = Histogram::kBins; i-- > 0;) {
    above += static_cast<double>(histogram.counts()[static_cast<std::size_t>(i)]);
    if (above > spare) {
      range.high = histogram.start(i) + histogram.width();
      break;
    }
  }
  return range;
}

}  // namespace

void Histogram::grow() {
  std::vector<std::uint64_t> wider(kBins);
  for (std::size_t i = 0; i < kBins; ++i) wider[kBins / 4 + i / 2] += counts_[i];
  counts_ = std::move(wider);
  limit_ *= 2;
}

void Histogram::add(std::span<const float> values) {
  float top = 0;
  for (const float x : values) {
    if (std::isfinite(x)) top = std::max(top, std::fabs(x));
  }
  while (top >= limit_ && limit_ < 0x1p127f) grow();
  const float scale = static_cast<float>(kHalf) / limit_;
  for (const float x : values) {
    if (!std::isfinite(x)) {
      ++left_out_;
      continue;
    }
    // A product with a power of two is exact, so an element's bin is the same at any limit.
    const auto bin = static_cast<int>(std::floor(x * scale)) + kHalf;
    ++counts_[static_cast<std::size_t>(std::clamp(bin, 0, kBins - 1))];
    ++total_;
  }
}

void RangeStatistics::add(std::span<const float> values) {
  float least = 0, most = 0;
  for (const float x : values) {
    if (!std::isfinite(x)) continue;
    least = std::min(least, x);
    most = std::max(most, x);
  }
  low = std::min(low, least);
  high = std::max(high, most);
  const float weight = calls == 0 ? 1 : kMomentum;
  average_low = average_low + weight * (least - average_low);
  average_high = average_high + weight * (most - average_high);
  ++calls;
  histogram.add(values);
}

Range choose_range(const RangeStatistics& statistics, const RangeOptions& options) {
  const Range all{statistics.low, statistics.high};
  Range range = all;
  switch (options.method) {
    case RangeMethod::kMinMax:
      break;
    case RangeMethod::kMovingAverage:
      range = {statistics.average_low, statistics.average_high};
      break;
    case RangeMethod::kPercentile:
      range = percentile_range(statistics, options.percentile);
      break;
    case RangeMethod::kEntropy: {
      const float cut = entropy_cut(statistics.histogram);
      range = {-cut, cut};
      break;
    }
    case RangeMethod::kMse:
      range = mse_range(statistics, options.symmetric);
      break;
  }
  // A bin may reach further than what it holds.
  return {std::clamp(range.low, all.low, 0.0f), std::clamp(range.high, 0.0f, all.high)};
}

ir::StaticScale static_scale(const Range& range, bool symmetric) {
  constexpr float kLeast = 0x1p-100f;  // a value that is 0 throughout still needs a scale
  ir::StaticScale out;
  if (symmetric) {
    out.scale = std::max(std::max(-range.low, range.high) / 127.0f, kLeast);
    return out;
  }
  out.scale = std::max((range.high - range.low) / 254.0f, kLeast);
  out.zero = static_cast<std::int32_t>(
      std::clamp(std::nearbyint(-127.0f - range.low / out.scale), -127.0f, 127.0f));
  return out;
}

double share_outside(const Histogram& histogram, const Range& range) {
  if (histogram.total() == 0) return 0;
  std::uint64_t outside = 0;
  for (int i = 0; i < Histogram::kBins; ++i) {
    const float start = histogram.start(i);
    if (start + histogram.width() < range.low || start > range.high)
      outside += histogram.counts()[static_cast<std::size_t>(i)];
  }
  return static_cast<double>(outside) / static_cast<double>(histogram.total());
}

Expected<std::map<ir::ValueId, RangeStatistics>> observe_ranges(const ir::Model& model,
                                                                std::span<const Sample> samples,
                                                                std::span<const ir::ValueId> values,
                                                                ThreadPool& pool) {
  THIMBLE_ASSIGN(Walk walk, Walk::create(model, samples, pool));
  std::map<ir::ValueId, RangeStatistics> all;
  while (!walk.done() && all.size() < values.size()) {
    std::vector<ir::ValueId> here;
    for (const ir::ValueId value : values) {
      if (!all.contains(value) && walk.at_hand(value)) here.push_back(value);
    }
    std::vector<RangeStatistics*> statistics;
    for (const ir::ValueId value : here) statistics.push_back(&all[value]);
    const bool last = all.size() == values.size();
    THIMBLE_TRY(walk.run(here,
                         [&](std::size_t, std::size_t which, const runtime::TensorView& view) {
                           if (view.type != program::Type::kF32)
                             return Status(unsupported("only f32 values have ranges")
                                               .at_tensor(model.graph.value(here[which]).name));
                           statistics[which]->add({static_cast<const float*>(view.data),
                                                   static_cast<std::size_t>(view.count())});
                           return ok();
                         },
                         {.move = !last}));
  }
  return all;
}

}  // namespace thimble::calibrate

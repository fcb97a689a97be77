#include "calibrate/ranges.h"

#include <cmath>
#include <limits>
#include <random>

#include "unit/catch.h"

namespace thimble::calibrate {
namespace {

// Gaussian values, some outliers far out.
std::vector<float> values(std::size_t count, bool outliers) {
  std::mt19937 random(5);
  std::vector<float> out;
  while (out.size() < count) {
    double sum = 0;
    for (int i = 0; i < 12; ++i) sum += static_cast<double>(random()) / 4294967296.0;
    out.push_back(static_cast<float>(sum - 6));
  }
  if (outliers) out[count / 2] = 60, out[count / 3] = -45;
  return out;
}

double squared_error(const std::vector<float>& x, const ir::StaticScale& s) {
  double error = 0;
  for (const float v : x) {
    const float code = std::min(std::max(std::nearbyint(v / s.scale) + s.zero, -127.0f), 127.0f);
    const double e = v - s.scale * (code - s.zero);
    error += e * e;
  }
  return error;
}

TEST_CASE("a histogram counts the same in any order and however it is cut") {
  std::vector<float> x = values(5000, true);
  Histogram whole, parts, backwards;
  whole.add(x);
  for (std::size_t i = 0; i < x.size(); i += 100) parts.add(std::span(x).subspan(i, 100));
  std::reverse(x.begin(), x.end());
  for (const float v : x) backwards.add(std::span(&v, 1));
  CHECK(whole.total() == 5000);
  CHECK(whole.limit() == 64);
  CHECK(whole.counts() == parts.counts());
  CHECK(whole.counts() == backwards.counts());
  const float bad[] = {std::numeric_limits<float>::quiet_NaN(),
                       std::numeric_limits<float>::infinity()};
  whole.add(bad);
  CHECK(whole.total() == 5000);
  CHECK(whole.left_out() == 2);
  CHECK(whole.limit() == 64);
}

TEST_CASE("methods cover what they promise") {
  const std::vector<float> x = values(20000, true);
  RangeStatistics statistics;
  for (std::size_t i = 0; i < x.size(); i += 500) statistics.add(std::span(x).subspan(i, 500));
  const auto range = [&](RangeMethod method, double percentile = 99.9) {
    return choose_range(statistics, {method, percentile, false});
  };
  const Range all = range(RangeMethod::kMinMax);
  CHECK(all.low == -45);
  CHECK(all.high == 60);
  CHECK(share_outside(statistics.histogram, all) == 0);
  const Range most = range(RangeMethod::kPercentile);
  // A bin that holds the edge stays inside as a whole.
  CHECK(share_outside(statistics.histogram, most) <= 0.001);
  CHECK(share_outside(statistics.histogram, most) > 0.0004);
  CHECK(range(RangeMethod::kPercentile, 100).high == 60);
  // The average moves by 1 % of an outlier at a time.
  CHECK(range(RangeMethod::kMovingAverage).high < 5);
  CHECK(range(RangeMethod::kEntropy).high < 20);
  const Range least = range(RangeMethod::kMse);
  for (const RangeMethod other : {RangeMethod::kMinMax, RangeMethod::kPercentile}) {
    CHECK(squared_error(x, static_scale(least, false)) <=
          squared_error(x, static_scale(range(other), false)) * 1.01);
  }
}

TEST_CASE("without outliers no method gives much away") {
  const std::vector<float> x = values(20000, false);
  RangeStatistics statistics;
  statistics.add(x);
  for (const RangeMethod method :
       {RangeMethod::kMinMax, RangeMethod::kMovingAverage, RangeMethod::kPercentile,
        RangeMethod::kEntropy, RangeMethod::kMse}) {
    const Range range = choose_range(statistics, {method, 99.999, true});
    double signal = 0;
    for (const float v : x) signal += static_cast<double>(v) * v;
    INFO(static_cast<int>(method));
    CHECK(squared_error(x, static_scale(range, true)) < signal * 1e-3);
  }
}

TEST_CASE("scales hold 0 exactly and reach both ends") {
  for (const Range& range : {Range{0, 6}, Range{-1, 3}, Range{-5, 0}, Range{-2, 2}, Range{0, 0}}) {
    for (const bool symmetric : {false, true}) {
      const ir::StaticScale s = static_scale(range, symmetric);
      CHECK(s.scale > 0);
      CHECK(std::abs(s.zero) <= 127);
      if (symmetric) CHECK(s.zero == 0);
      CHECK(s.scale * static_cast<float>(127 - s.zero) >= range.high - s.scale);
      CHECK(s.scale * static_cast<float>(-127 - s.zero) <= range.low + s.scale);
    }
  }
}

}  // namespace
}  // namespace thimble::calibrate

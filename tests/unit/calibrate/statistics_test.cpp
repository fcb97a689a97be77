#include "calibrate/statistics.h"

#include <cmath>

#include "unit/catch.h"

namespace thimble::calibrate {
namespace {

std::vector<float> numbers(std::size_t count) {
  std::vector<float> out(count);
  std::uint32_t state = 12345;
  for (float& x : out) {
    state = state * 1664525u + 1013904223u;
    x = static_cast<float>(static_cast<std::int32_t>(state)) * 0x1p-31f;
  }
  return out;
}

}  // namespace

TEST_CASE("statistics are what sums in double say, however rows come in") {
  constexpr std::int64_t kWidth = 5, kTokens = 2 * kShardTokens + 100;
  const std::vector<float> x = numbers(kWidth * kTokens);
  ThreadPool pool(2);
  StatisticsAccumulator whole(kWidth, Products::kGram, pool), pieces(kWidth, Products::kGram, pool);
  whole.add(x);
  for (std::size_t at = 0; at < x.size();) {
    const std::size_t size = std::min<std::size_t>(kWidth * 333, x.size() - at);
    pieces.add(std::span(x).subspan(at, size));
    at += size;
  }
  const InputStatistics a = whole.finish(), b = pieces.finish();
  CHECK(a.tokens == kTokens);
  CHECK(a.energy == b.energy);
  CHECK(a.gram == b.gram);
  for (std::size_t i = 0; i < kWidth; ++i) {
    double energy = 0, absolute = 0;
    float low = 1, high = -1;
    std::vector<double> row(kWidth);
    for (std::size_t t = 0; t < kTokens; ++t) {
      const double v = x[t * kWidth + i];
      energy += v * v;
      absolute += std::fabs(v);
      low = std::min(low, x[t * kWidth + i]);
      high = std::max(high, x[t * kWidth + i]);
      for (std::size_t j = 0; j <= i; ++j) row[j] += v * x[t * kWidth + j];
    }
    CHECK(a.energy[i] == Approx(energy).epsilon(1e-5));
    CHECK(a.absolute[i] == Approx(absolute).epsilon(1e-5));
    CHECK(a.low[i] == low);
    CHECK(a.high[i] == high);
    for (std::size_t j = 0; j <= i; ++j)
      CHECK(a.gram[i * kWidth + j] == Approx(row[j]).epsilon(1e-5).margin(1.0));
  }
}

TEST_CASE("the drift is of each input's difference from elsewhere with each input") {
  constexpr std::int64_t kWidth = 5, kTokens = kShardTokens + 100;
  const std::vector<float> x = numbers(kWidth * kTokens);
  std::vector<float> y = x;
  for (std::size_t i = 0; i < y.size(); ++i) y[i] = 0.9f * y[i] + 0.1f * x[(i + 7) % x.size()];
  ThreadPool one(1), five(5);
  StatisticsAccumulator whole(kWidth, Products::kGramAndDrift, one);
  StatisticsAccumulator pieces(kWidth, Products::kGramAndDrift, five);
  whole.add(x, y);
  for (std::size_t at = 0; at < x.size();) {
    const std::size_t size = std::min<std::size_t>(kWidth * 333, x.size() - at);
    pieces.add(std::span(x).subspan(at, size), std::span(y).subspan(at, size));
    at += size;
  }
  const InputStatistics a = whole.finish(), b = pieces.finish();
  CHECK(a.gram == b.gram);
  CHECK(a.drift == b.drift);
  for (std::size_t i = 0; i < kWidth; ++i) {
    for (std::size_t j = 0; j < kWidth; ++j) {
      double sum = 0;
      for (std::size_t t = 0; t < kTokens * kWidth; t += kWidth)
        sum += (static_cast<double>(y[t + i]) - x[t + i]) * x[t + j];
      CHECK(a.drift[i * kWidth + j] == Approx(sum).epsilon(1e-4).margin(0.1));
    }
  }
}

TEST_CASE("statistics without a Gram matrix hold none") {
  ThreadPool pool(1);
  StatisticsAccumulator sums(3, Products::kNone, pool);
  sums.add(std::vector<float>{1, -2, 3, 4, 5, -6});
  const InputStatistics s = sums.finish();
  CHECK(s.gram.empty());
  CHECK(s.energy == std::vector<double>{17, 29, 45});
  CHECK(s.absolute == std::vector<double>{5, 7, 9});
  CHECK(s.low == std::vector<float>{1, -2, -6});
  CHECK(s.high == std::vector<float>{4, 5, 3});
}

}  // namespace thimble::calibrate

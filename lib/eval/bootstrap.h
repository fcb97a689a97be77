#pragma once
// Percentile bootstrap (Efron, Tibshirani 1993, section 13.3): 1000 resamples from a fixed seed.

#include <algorithm>
#include <cstddef>
#include <vector>

#include "eval/metrics.h"
#include "support/rng.h"

namespace thimble::eval {

// `statistic(indices)` is the figure of the items at those indices, which may repeat. What belongs
// together (both models' figures of a window) stays together because it has one index.
template <class F>
Interval bootstrap(std::size_t items, F statistic) {
  constexpr int kResamples = 1000;
  constexpr std::uint64_t kSeed = 20240117;
  std::vector<std::size_t> indices(items);
  for (std::size_t i = 0; i < items; ++i) indices[i] = i;
  const double value = statistic(indices);
  if (items < 2) return Interval::exact(value);
  Rng rng(kSeed, "bootstrap");
  std::vector<double> values;
  values.reserve(kResamples);
  for (int i = 0; i < kResamples; ++i) {
    for (std::size_t& index : indices) index = rng.below(items);
    values.push_back(statistic(indices));
  }
  std::sort(values.begin(), values.end());
  return {value, values[kResamples * 25 / 1000], values[kResamples * 975 / 1000 - 1]};
}

inline Interval bootstrap_mean(const std::vector<double>& figures) {
  return bootstrap(figures.size(), [&](const std::vector<std::size_t>& indices) {
    double sum = 0;
    for (const std::size_t index : indices) sum += figures[index];
    return sum / static_cast<double>(indices.size());
  });
}

}  // namespace thimble::eval

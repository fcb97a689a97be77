#pragma once
// What an evaluation measured. Per window first, so that intervals can resample windows: tokens of
// one window are not independent, windows nearly are.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace thimble::eval {

// Sums over the scored tokens of one window. KL is of the candidate from the reference, in nats.
struct WindowScore {
  std::int64_t tokens = 0;
  double nll = 0;            // -log p(token) of the candidate
  double reference_nll = 0;  // of the reference
  double kl = 0;
  double kl_weights = 0;      // of the candidate's weights under f32 arithmetic
  std::int64_t same_top = 0;  // tokens where both put the same one first
};

struct Interval {
  double value = 0;
  double low = 0;  // 95 %
  double high = 0;

  static Interval exact(double value) { return {value, value, value}; }
};

// A metric by its name in gates and JSON.
struct Metric {
  std::string name;
  Interval interval;  // exact: sizes
};

struct Scores {
  std::vector<WindowScore> windows;
  std::vector<float> token_kl;  // every scored token's, for percentiles
  bool has_reference = false;
  bool has_weights = false;  // kl_weights was measured
};

// Paired percentile bootstrap over windows (Efron, Tibshirani 1993, section 13.3): 1000 resamples
// of the windows from a fixed seed; both models' figures come from the same resample.
Interval perplexity(const Scores& scores);
Interval perplexity_ratio(const Scores& scores);
Interval mean_kl(const Scores& scores);
Interval mean_kl_weights(const Scores& scores);
Interval top1_agreement(const Scores& scores);
double kl_percentile(const Scores& scores, double percent);

// Everything that the scores know, under its stable names: perplexity, and with a reference
// perplexity_ratio, kl_mean, kl_p99, top1_agreement, and kl_weights.
std::vector<Metric> summarize(const Scores& scores);

const Metric* find(const std::vector<Metric>& metrics, std::string_view name);

enum class MetricUnit : std::uint8_t { kNone, kBytes, kPercent, kDecibels };

// What a metric's name tells of it.
struct MetricInfo {
  std::string_view name;
  bool larger_is_better = false;
  double tolerance = 0.05;  // of a new baseline, as a share of the value
  MetricUnit unit = MetricUnit::kNone;
  int digits = 0;           // after the point; 0: the first digits that aren't 0
  bool of_machine = false;  // another machine, or hour, measures something else
};
// Of a name that no gate knows: a number of which less is better.
MetricInfo metric_info(std::string_view name);

// The names that gates may use, for checking and suggestions.
const std::vector<std::string>& known_metrics();

}  // namespace thimble::eval

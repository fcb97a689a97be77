#include "eval/metrics.h"

#include <algorithm>
#include <functional>

#include "eval/bootstrap.h"
#include "support/math.h"

namespace thimble::eval {
namespace {

using Unit = MetricUnit;

constexpr double kTimeTolerance = 0.2;  // what other work on a machine easily takes

constexpr MetricInfo kInfos[] = {
    {.name = "perplexity", .digits = 4},
    {.name = "perplexity_ratio", .digits = 4},
    {.name = "kl_mean"},
    {.name = "kl_weights"},
    {.name = "kl_p99"},
    {.name = "top1_agreement", .larger_is_better = true, .unit = Unit::kPercent, .digits = 2},
    {.name = "top1_accuracy", .larger_is_better = true, .unit = Unit::kPercent, .digits = 2},
    {.name = "top1_drop", .unit = Unit::kPercent, .digits = 2},
    {.name = "cosine_mean", .larger_is_better = true, .digits = 6},
    {.name = "cosine_min", .larger_is_better = true, .digits = 6},
    {.name = "rank_correlation", .larger_is_better = true, .digits = 6},
    {.name = "greedy_tokens", .larger_is_better = true},
    {.name = "repetition_rise", .unit = Unit::kPercent, .digits = 2},
    {.name = "sqnr_db", .larger_is_better = true, .unit = Unit::kDecibels, .digits = 2},
    {.name = "size", .tolerance = 0.01, .unit = Unit::kBytes},
    {.name = "bits_per_weight", .tolerance = 0.01, .digits = 3},
    {.name = "prefill_tokens_per_second",
     .larger_is_better = true,
     .tolerance = kTimeTolerance,
     .digits = 1,
     .of_machine = true},
    {.name = "decode_tokens_per_second",
     .larger_is_better = true,
     .tolerance = kTimeTolerance,
     .digits = 1,
     .of_machine = true},
    {.name = "ttft_seconds", .tolerance = kTimeTolerance, .of_machine = true},
    {.name = "run_seconds", .tolerance = kTimeTolerance, .of_machine = true},
    {.name = "memory_bytes", .tolerance = 0.01, .unit = Unit::kBytes, .of_machine = true},
};

using Statistic = std::function<double(const WindowScore& total)>;

void add(WindowScore& total, const WindowScore& window) {
  total.tokens += window.tokens;
  total.nll += window.nll;
  total.reference_nll += window.reference_nll;
  total.kl += window.kl;
  total.kl_weights += window.kl_weights;
  total.same_top += window.same_top;
}

Interval over_windows(const Scores& scores, const Statistic& statistic) {
  return bootstrap(scores.windows.size(), [&](const std::vector<std::size_t>& indices) {
    WindowScore total;
    for (const std::size_t index : indices) add(total, scores.windows[index]);
    return statistic(total);
  });
}

double per_token(double sum, const WindowScore& total) {
  return total.tokens > 0 ? sum / static_cast<double>(total.tokens) : 0;
}

}  // namespace

Interval perplexity(const Scores& scores) {
  return over_windows(scores, [](const WindowScore& t) { return math::exp(per_token(t.nll, t)); });
}
Interval perplexity_ratio(const Scores& scores) {
  return over_windows(scores, [](const WindowScore& t) {
    return math::exp(per_token(t.nll - t.reference_nll, t));
  });
}
Interval mean_kl(const Scores& scores) {
  return over_windows(scores, [](const WindowScore& t) { return per_token(t.kl, t); });
}
Interval mean_kl_weights(const Scores& scores) {
  return over_windows(scores, [](const WindowScore& t) { return per_token(t.kl_weights, t); });
}
Interval top1_agreement(const Scores& scores) {
  return over_windows(
      scores, [](const WindowScore& t) { return per_token(static_cast<double>(t.same_top), t); });
}

double kl_percentile(const Scores& scores, double percent) {
  if (scores.token_kl.empty()) return 0;
  std::vector<float> values = scores.token_kl;
  const auto rank =
      static_cast<std::size_t>(percent / 100 * static_cast<double>(values.size() - 1) + 0.5);
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(rank),
                   values.end());
  return values[rank];
}

std::vector<Metric> summarize(const Scores& scores) {
  std::vector<Metric> metrics = {{"perplexity", perplexity(scores)}};
  if (!scores.has_reference) return metrics;
  metrics.push_back({"perplexity_ratio", perplexity_ratio(scores)});
  metrics.push_back({"kl_mean", mean_kl(scores)});
  if (scores.has_weights) metrics.push_back({"kl_weights", mean_kl_weights(scores)});
  metrics.push_back({"kl_p99", Interval::exact(kl_percentile(scores, 99))});
  metrics.push_back({"top1_agreement", top1_agreement(scores)});
  return metrics;
}

const Metric* find(const std::vector<Metric>& metrics, std::string_view name) {
  const auto at =
      std::find_if(metrics.begin(), metrics.end(), [&](const Metric& m) { return m.name == name; });
  return at == metrics.end() ? nullptr : &*at;
}

MetricInfo metric_info(std::string_view name) {
  const auto at = std::ranges::find(kInfos, name, &MetricInfo::name);
  return at == std::end(kInfos) ? MetricInfo{.name = name} : *at;
}

const std::vector<std::string>& known_metrics() {
  static const std::vector<std::string> kNames = [] {
    std::vector<std::string> names;
    for (const MetricInfo& info : kInfos) names.emplace_back(info.name);
    return names;
  }();
  return kNames;
}

}  // namespace thimble::eval

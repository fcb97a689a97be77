#include "eval/metrics.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "eval/bootstrap.h"
#include "support/math.h"

namespace thimble::eval {
namespace {

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
  const double p99 = kl_percentile(scores, 99);
  metrics.push_back({"kl_p99", {p99, p99, p99}});
  metrics.push_back({"top1_agreement", top1_agreement(scores)});
  return metrics;
}

const Metric* find(const std::vector<Metric>& metrics, std::string_view name) {
  const auto at =
      std::find_if(metrics.begin(), metrics.end(), [&](const Metric& m) { return m.name == name; });
  return at == metrics.end() ? nullptr : &*at;
}

const std::vector<std::string>& known_metrics() {
  static const std::vector<std::string> kNames = {
      "perplexity",       "perplexity_ratio", "kl_mean",         "kl_weights",  "kl_p99",
      "top1_agreement",   "top1_accuracy",    "top1_drop",       "cosine_mean", "cosine_min",
      "rank_correlation", "greedy_tokens",    "repetition_rise", "sqnr_db",     "size",
      "bits_per_weight"};
  return kNames;
}

}  // namespace thimble::eval

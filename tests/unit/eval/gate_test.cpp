#include "eval/gate.h"

#include <cmath>

#include "unit/catch.h"

namespace thimble::eval {
namespace {

Gate gate(const std::string& text) {
  auto parsed = parse_gate(text, {});
  REQUIRE(parsed.has_value());
  return *parsed;
}

Verdict verdict(const std::string& text, Interval measured) {
  return judge({gate(text)}, {{gate(text).metric, measured}}).front().verdict;
}

TEST_CASE("gates are read with their units") {
  CHECK(gate("size <= 60MB").limit == 60e6);
  CHECK(gate("size<1GiB").limit == 1073741824.0);
  CHECK(gate("memory_bytes <= 2kB").limit == 2000.0);
  CHECK(gate("top1_agreement >= 95 %").limit == Approx(0.95));
  CHECK(gate("kl_mean > 1e-3").comparison == Comparison::kGreater);
  CHECK_FALSE(parse_gate("kl_mean = 3", {}).has_value());
  CHECK_FALSE(parse_gate("size <= 3 parsecs", {}).has_value());
  CHECK_FALSE(parse_gate("kl_mean <= nan", {}).has_value());  // which nothing would meet
  CHECK_FALSE(parse_gate("kl_mean <= inf", {}).has_value());
}

TEST_CASE("a gate is undecided while its interval straddles the limit") {
  CHECK(verdict("kl_mean <= 0.05", {0.04, 0.03, 0.05}) == Verdict::kPassed);
  CHECK(verdict("kl_mean <= 0.05", {0.05, 0.04, 0.06}) == Verdict::kUndecided);
  CHECK(verdict("kl_mean <= 0.05", {0.07, 0.06, 0.08}) == Verdict::kFailed);
  CHECK(verdict("top1_agreement >= 0.9", {0.95, 0.91, 0.97}) == Verdict::kPassed);
  CHECK(verdict("kl_mean < 0.05", {0.05, 0.05, 0.05}) == Verdict::kFailed);
}

TEST_CASE("undecided and unmeasured gates fail only under strict") {
  const auto open =
      judge({gate("kl_mean <= 1"), gate("perplexity <= 5")}, {{"kl_mean", {1, 0.5, 1.5}}});
  CHECK(open[1].verdict == Verdict::kNotMeasured);
  CHECK(acceptable(open, false));
  CHECK_FALSE(acceptable(open, true));
  CHECK_FALSE(acceptable(judge({gate("kl_mean <= 1")}, {{"kl_mean", {3, 2, 4}}}), false));
}

TEST_CASE("intervals are paired: a constant ratio has none") {
  Scores scores;
  scores.has_reference = true;
  for (int i = 1; i <= 40; ++i) {
    const double nll = 100.0 + 7 * i;
    scores.windows.push_back({.tokens = 100,
                              .nll = nll + 2,
                              .reference_nll = nll,
                              .kl = 1.0 + i % 3,
                              .kl_weights = 0,
                              .same_top = 90});
  }
  const Interval ratio = perplexity_ratio(scores);
  CHECK(ratio.value == Approx(std::exp(0.02)));
  CHECK(ratio.high - ratio.low < 1e-9);
  const Interval own = perplexity(scores);
  CHECK(own.low < own.value);
  CHECK(own.value < own.high);
  CHECK(mean_kl(scores).value == Approx(0.0200).epsilon(0.02));
  CHECK(top1_agreement(scores).value == Approx(0.9));
}

}  // namespace
}  // namespace thimble::eval

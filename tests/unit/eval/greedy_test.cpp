#include "eval/greedy.h"

#include "unit/catch.h"

using namespace thimble;
using namespace thimble::eval;

TEST_CASE("repetition is the share of runs of four tokens that were there before") {
  const auto of = [](std::vector<std::int32_t> tokens) { return repetition(tokens); };
  CHECK(of({}) == 0);
  CHECK(of({5, 5, 5, 5}) == 0);
  CHECK(of({5, 5, 5, 5, 5}) == 0.5);
  CHECK(of({1, 2, 3, 4, 5, 6, 7, 8}) == 0);
  CHECK(of({1, 2, 3, 4, 9, 1, 2, 3, 4}) == Approx(1.0 / 6));
}

TEST_CASE("greedy scores are means over windows, with intervals") {
  const std::vector<GreedyScore> scores = {{64, 0.1, 0.1}, {10, 0.5, 0.2}, {1, 0.3, 0.3}};
  const auto metrics = summarize_greedy(scores);
  const Metric* tokens = find(metrics, "greedy_tokens");
  const Metric* rise = find(metrics, "repetition_rise");
  REQUIRE(tokens != nullptr);
  REQUIRE(rise != nullptr);
  CHECK(tokens->interval.value == Approx(25));
  CHECK(tokens->interval.low < 25);
  CHECK(tokens->interval.high > 25);
  CHECK(rise->interval.value == Approx(0.1));
  CHECK(summarize_greedy({}).empty());
}

#include "quant/error_metrics.h"

#include <cmath>
#include <vector>

#include "unit/catch.h"

using thimble::quant::ErrorMetrics;

TEST_CASE("error metrics over blocks") {
  const std::vector<float> a = {3, 4}, b = {3, 3}, c = {0, 12}, d = {0.5f, 12};
  ErrorMetrics metrics;
  metrics.add(a, b);
  metrics.add(c, d);
  CHECK(metrics.relative_squared() == Approx(1.25 / 169));
  CHECK(metrics.sqnr_db() == Approx(10 * std::log10(169 / 1.25)));
}

TEST_CASE("error metrics at the edges") {
  const std::vector<float> zero = {0, 0}, one = {1, 0};
  ErrorMetrics none, exact, lost;
  CHECK(none.relative_squared() == 0);
  exact.add(one, one);
  CHECK(std::isinf(exact.sqnr_db()));
  CHECK(exact.sqnr_db() > 0);
  lost.add(zero, one);
  CHECK(std::isinf(lost.relative_squared()));
}

#include "linalg/eigen.h"

#include <cmath>

#include "unit/catch.h"
#include "unit/linalg/matrices.h"

using namespace thimble;
using namespace thimble::linalg;
using test::random_matrix;

TEST_CASE("eigenvectors rebuild their symmetric matrix") {
  constexpr std::int64_t n = 60;
  auto a = random_matrix<double>(n * n, 1);
  const auto e = symmetric_eigen(a, n);
  REQUIRE(e);
  for (std::int64_t i = 0; i < n; ++i) {
    if (i > 0) CHECK(e->values[i] <= e->values[i - 1]);
    for (std::int64_t j = 0; j <= i; ++j) {
      double sum = 0, dot = 0;
      for (std::int64_t k = 0; k < n; ++k) {
        sum += e->values[k] * e->vectors[k * n + i] * e->vectors[k * n + j];
        dot += e->vectors[i * n + k] * e->vectors[j * n + k];
      }
      CHECK(sum == Approx(a[i * n + j]).margin(1e-11));
      CHECK(dot == Approx(i == j ? 1 : 0).margin(1e-12));
    }
  }
  a[n] = INFINITY;
  CHECK_FALSE(symmetric_eigen(a, n));
}

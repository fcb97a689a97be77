#include "linalg/hadamard.h"

#include <algorithm>
#include <cmath>

#include "unit/catch.h"
#include "unit/linalg/matrices.h"

using namespace thimble;
using namespace thimble::linalg;

TEST_CASE("Hadamard matrices have orthogonal rows of +-1") {
  for (const int n : {1, 12, 20, 28, 36}) {
    const auto h = hadamard_matrix(n);
    REQUIRE(std::ssize(h) == n * n);
    for (int i = 0; i < n; ++i) {
      for (int j = 0; j < n; ++j) {
        int sum = 0;
        for (int k = 0; k < n; ++k) sum += h[i * n + k] * h[j * n + k];
        CHECK(sum == (i == j ? n : 0));
        CHECK(std::abs(h[i * n + j]) == 1);
      }
    }
  }
}

TEST_CASE("a width is mixed in the largest blocks that there are") {
  CHECK(hadamard_size(2048) == 2048);
  CHECK(hadamard_size(576) == 576);    // 16 * 36
  CHECK(hadamard_size(5120) == 5120);  // 256 * 20
  CHECK(hadamard_size(1536) == 1536);  // 128 * 12
  CHECK(hadamard_size(3584) == 3584);  // 128 * 28
  CHECK(hadamard_size(5632) == 512);   // 11 is left
  CHECK(hadamard_size(18944) == 512);  // 37 is left
  CHECK(hadamard_size(7) == 1);
}

TEST_CASE("rotations are orthonormal, reversible and the same for any number of threads") {
  for (const std::int64_t n : {1, 7, 16, 24, 80, 88, 112, 144}) {
    INFO(n);
    const HadamardRotation rotation(n, 3, "layer");
    ThreadPool pool(1), five(5);
    std::vector<float> r(static_cast<std::size_t>(n * n));
    for (std::int64_t i = 0; i < n; ++i) r[i * n + i] = 1;
    rotation.apply(r, pool);  // the rows of R
    const auto size = static_cast<float>(rotation.size());
    for (std::int64_t i = 0; i < n; ++i) {
      for (std::int64_t j = 0; j < n; ++j) {
        const bool mixed = i / rotation.size() == j / rotation.size();
        CHECK(std::fabs(r[i * n + j]) == Approx(mixed ? 1 / std::sqrt(size) : 0.0f));
        double sum = 0;
        for (std::int64_t k = 0; k < n; ++k) {
          sum += static_cast<double>(r[i * n + k]) * r[j * n + k];
        }
        CHECK(sum == Approx(i == j ? 1 : 0).margin(1e-6));
      }
    }
    const auto x = test::random_matrix<float>(3 * n, 5);
    auto y = x, z = x;
    rotation.apply(y, pool);
    rotation.apply(z, five);
    CHECK(y == z);
    for (std::int64_t j = 0; j < n; ++j) {
      double sum = 0;
      for (std::int64_t k = 0; k < n; ++k) sum += static_cast<double>(x[n + k]) * r[k * n + j];
      CHECK(y[n + j] == Approx(sum).margin(1e-5));
    }
  }
}

TEST_CASE("signs follow seed and name") {
  const HadamardRotation a(64, 1, "x"), b(64, 1, "x"), c(64, 2, "x"), plain(64);
  CHECK(std::ranges::equal(a.signs(), b.signs()));
  CHECK_FALSE(std::ranges::equal(a.signs(), c.signs()));
  CHECK(std::ranges::count(plain.signs(), 1.0f) == 64);
  CHECK(std::ranges::count(a.signs(), -1.0f) > 16);
}

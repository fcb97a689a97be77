#include "linalg/cholesky.h"

#include <cmath>

#include "unit/catch.h"
#include "unit/linalg/matrices.h"

using namespace thimble;
using namespace thimble::linalg;
using test::each_gemm_variant;
using test::random_matrix;

namespace {

// X^T X + a little on the diagonal, with numbers above the diagonal that nobody may read.
std::vector<double> positive_definite(std::int64_t n, std::uint64_t seed) {
  const auto x = random_matrix<double>(2 * n * n, seed);
  std::vector<double> a(static_cast<std::size_t>(n * n), std::nan(""));
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = 0; j <= i; ++j) {
      double sum = i == j ? 0.5 : 0;
      for (std::int64_t t = 0; t < 2 * n; ++t) sum += x[t * n + i] * x[t * n + j];
      a[i * n + j] = sum;
    }
  }
  return a;
}

// Textbook loops, without blocks.
std::vector<double> plain_cholesky(std::vector<double> a, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = 0; j <= i; ++j) {
      double sum = a[i * n + j];
      for (std::int64_t k = 0; k < j; ++k) sum = std::fma(-a[i * n + k], a[j * n + k], sum);
      a[i * n + j] = i == j ? std::sqrt(sum) : sum / a[j * n + j];
    }
  }
  return a;
}

void check_lower_equal(const std::vector<double>& a, const std::vector<double>& b, std::int64_t n) {
  std::int64_t different = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = 0; j <= i; ++j) different += a[i * n + j] != b[i * n + j];
  }
  CHECK(different == 0);
}

}  // namespace

TEST_CASE("blocks, threads and instruction sets give the plain algorithm's Cholesky factor") {
  for (const std::int64_t n : {1, 5, 128, 300}) {
    const auto a = positive_definite(n, 7);
    const auto expected = plain_cholesky(a, n);
    for (const int threads : {1, 2, 5}) {
      ThreadPool pool(threads);
      each_gemm_variant([&](const GemmKernels& variant) {
        INFO(kernels::isa_name(variant.isa) << " n " << n << " threads " << threads);
        auto got = a;
        REQUIRE(cholesky(got, n, pool, &variant));
        check_lower_equal(got, expected, n);
      });
    }
  }
}

TEST_CASE("the inverse of a triangle is one, and the same everywhere") {
  constexpr std::int64_t n = 300;
  const auto l = plain_cholesky(positive_definite(n, 8), n);
  std::vector<double> first;
  for (const int threads : {1, 2, 5}) {
    ThreadPool pool(threads);
    each_gemm_variant([&](const GemmKernels& variant) {
      auto inverse = l;
      invert_lower(inverse, n, pool, &variant);
      if (first.empty()) first = inverse;
      check_lower_equal(inverse, first, n);
    });
  }
  double worst = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = 0; j <= i; ++j) {
      double sum = 0;
      for (std::int64_t k = j; k <= i; ++k) sum += l[i * n + k] * first[k * n + j];
      worst = std::max(worst, std::fabs(sum - (i == j ? 1 : 0)));
    }
  }
  CHECK(worst < 1e-11);
}

TEST_CASE("U^T U is the inverse") {
  constexpr std::int64_t n = 200;
  const auto h = positive_definite(n, 9);
  std::vector<float> first;
  for (const int threads : {1, 2, 5}) {
    ThreadPool pool(threads);
    each_gemm_variant([&](const GemmKernels& variant) {
      auto copy = h;
      const auto u = inverse_upper(copy, n, pool, &variant);
      REQUIRE(u);
      if (first.empty()) first = *u;
      CHECK(*u == first);
    });
  }
  // H U^T U = 1, with U in f32.
  const auto full = [&](std::int64_t i, std::int64_t j) {
    return i >= j ? h[i * n + j] : h[j * n + i];
  };
  double worst = 0;
  std::vector<double> inverse(n * n);
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = 0; j < n; ++j) {
      for (std::int64_t k = 0; k <= std::min(i, j); ++k) {
        inverse[i * n + j] += static_cast<double>(first[k * n + i]) * first[k * n + j];
      }
      if (j < i) CHECK(first[i * n + j] == 0.0f);
    }
  }
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = 0; j < n; ++j) {
      double sum = i == j ? -1 : 0;
      for (std::int64_t k = 0; k < n; ++k) sum += full(i, k) * inverse[k * n + j];
      worst = std::max(worst, std::fabs(sum));
    }
  }
  CHECK(worst < 1e-3);
}

TEST_CASE("a matrix that is not positive definite is refused with its pivot") {
  constexpr std::int64_t n = 200;
  ThreadPool pool(2);
  auto a = positive_definite(n, 10);
  a[150 * n + 150] = -1;
  auto copy = a;
  const Status status = cholesky(copy, n, pool);
  REQUIRE_FALSE(status);
  CHECK(status.error().message.find("pivot 150 is -") != std::string::npos);
  std::vector<double> diagonal(n * n);
  for (std::int64_t i = 0; i < n; ++i) diagonal[i * n + i] = i == 3 ? 0 : 1;
  const auto upper = inverse_upper(diagonal, n, pool);
  REQUIRE_FALSE(upper);
  CHECK(upper.error().message == "the matrix is not positive definite: pivot 3 is 0");
}

#include "linalg/gemm.h"

#include <cmath>

#include "linalg/gram.h"
#include "unit/catch.h"
#include "unit/linalg/matrices.h"

using namespace thimble;
using namespace thimble::linalg;
using test::each_gemm_variant;
using test::random_matrix;

namespace {

// The contract, element by element.
template <class T>
std::vector<T> by_definition(Matrix<const T> a, Matrix<const T> b, std::vector<T> c, Update update,
                             Region region) {
  for (std::int64_t i = 0; i < a.rows; ++i) {
    for (std::int64_t j = 0; j < b.columns; ++j) {
      if (region == Region::kLower && j > i) continue;
      T& sum = c[static_cast<std::size_t>(i * b.columns + j)];
      for (std::int64_t k = 0; k < a.columns; ++k) {
        sum = std::fma(update == Update::kAdd ? a.at(i, k) : -a.at(i, k), b.at(k, j), sum);
      }
    }
  }
  return c;
}

template <class T>
void check_shape(std::int64_t m, std::int64_t n, std::int64_t k, int threads) {
  ThreadPool pool(threads);
  const auto a = random_matrix<T>(m * k, 1), b = random_matrix<T>(k * n, 2);
  const auto c = random_matrix<T>(m * n, 3);
  for (const bool transposed : {false, true}) {
    const auto left =
        transposed ? row_major(a.data(), k, m).transposed() : row_major(a.data(), m, k);
    const auto right =
        transposed ? row_major(b.data(), n, k).transposed() : row_major(b.data(), k, n);
    for (const Update update : {Update::kAdd, Update::kSubtract}) {
      for (const Region region : {Region::kAll, Region::kLower}) {
        const auto expected = by_definition<T>(left, right, c, update, region);
        each_gemm_variant([&](const GemmKernels& variant) {
          INFO(kernels::isa_name(variant.isa) << " " << m << "x" << n << "x" << k);
          auto got = c;
          gemm(left, right, row_major(got.data(), m, n), update, region, pool, &variant);
          CHECK(got == expected);
        });
      }
    }
  }
}

}  // namespace

TEST_CASE("a product is one fused multiply-add per k, in order, whatever the shape") {
  for (const int threads : {1, 2, 5}) {
    check_shape<float>(1, 1, 1, threads);
    check_shape<float>(13, 70, 9, threads);
    check_shape<float>(100, 300, 530, threads);
    check_shape<double>(37, 33, 300, threads);
    check_shape<double>(5, 0, 3, threads);
  }
}

TEST_CASE("Gram matrices of consecutive tokens add up bit for bit and fold in f64") {
  constexpr std::int64_t kTokens = 77, kInputs = 45;
  const auto x = random_matrix<float>(kTokens * kInputs, 4);
  ThreadPool pool(2);
  const std::span<const float> all(x);
  std::vector<float> whole(kInputs * kInputs), parts(kInputs * kInputs), cross(kInputs * kInputs);
  gram(all, kTokens, kInputs, whole, pool);
  gram(all.first(30 * kInputs), 30, kInputs, parts, pool);
  gram(all.subspan(30 * kInputs), kTokens - 30, kInputs, parts, pool);
  CHECK(whole == parts);
  cross_gram(all, all, kTokens, kInputs, kInputs, cross, pool);
  std::vector<double> total(whole.size(), 1.0);
  fold(whole, total, pool);
  for (std::int64_t i = 0; i < kInputs; ++i) {
    for (std::int64_t j = 0; j < kInputs; ++j) {
      const auto at = static_cast<std::size_t>(i * kInputs + j);
      double sum = 0;
      for (std::int64_t t = 0; t < kTokens; ++t) {
        sum += static_cast<double>(all[t * kInputs + i]) * all[t * kInputs + j];
      }
      CHECK(cross[at] == Approx(sum).margin(1e-4));
      CHECK(whole[at] == (j <= i ? cross[at] : 0.0f));
      CHECK(total[at] == 1.0 + whole[at]);
    }
  }
}

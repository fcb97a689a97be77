// AWQ, HQQ and low-rank corrections: what holds for any weights.

#include "quant/awq.h"

#include <cmath>

#include "quant/clip.h"
#include "quant/decode.h"
#include "quant/hqq.h"
#include "quant/low_rank.h"
#include "unit/catch.h"
#include "unit/quant/hessians.h"
#include "unit/quant/weights.h"

using namespace thimble;
using namespace thimble::quant;

namespace {

constexpr std::int64_t kRows = 70, kInputs = 96;

std::vector<float> magnitudes_of(const std::vector<float>& x) {
  std::vector<float> out(kInputs);
  for (std::size_t i = 0; i < x.size(); ++i) out[i % kInputs] += std::fabs(x[i]);
  for (float& m : out) m /= static_cast<float>(x.size() / kInputs);
  return out;
}

double mean_size(std::span<const float> weights, const ir::Rows& rows, const ir::Encoding& e) {
  std::vector<float> decoded(weights.size());
  REQUIRE(decode_rows(e, rows, kRows, kInputs, decoded.data()));
  double sum = 0;
  for (std::size_t i = 0; i < decoded.size(); ++i) sum += std::fabs(weights[i] - decoded[i]);
  return sum / static_cast<double>(decoded.size());
}

}  // namespace

TEST_CASE("AWQ never does worse than no scales and doesn't depend on threads") {
  const auto weights = test::heavy_tailed(kRows * kInputs, 1);
  const auto x = test::correlated_inputs(300, kInputs, 2);
  const auto hessian = test::hessian_of(x, kInputs);
  std::vector<double> diagonal;
  for (std::int64_t i = 0; i < kInputs; ++i) diagonal.push_back(hessian[i * kInputs + i]);
  auto magnitudes = magnitudes_of(x);
  magnitudes[3] = 0;  // dead: its scale is small, not 0
  for (const auto zero : {ir::ZeroKind::kConstant, ir::ZeroKind::kPoints, ir::ZeroKind::kMinima}) {
    for (const auto& h : {hessian, diagonal}) {
      const auto encoding = test::affine(3, 32, zero);
      const AwqLayer layer[] = {{{weights, kRows, kInputs}, encoding}};
      ThreadPool one(1), five(5);
      const auto a = awq(layer, kInputs, magnitudes, h, {}, one);
      const auto b = awq(layer, kInputs, magnitudes, h, {}, five);
      REQUIRE(a);
      REQUIRE(b);
      CHECK(a->error <= a->rounding_error);
      CHECK(a->scales == b->scales);
      CHECK(a->error == b->error);
      for (const float s : a->scales) CHECK(s > 0);
    }
  }
  magnitudes[3] = INFINITY;
  ThreadPool pool(1);
  const AwqLayer layer[] = {
      {{weights, kRows, kInputs}, test::affine(3, 32, ir::ZeroKind::kConstant)}};
  CHECK_FALSE(awq(layer, kInputs, magnitudes, hessian, {}, pool));
}

TEST_CASE("AWQ's layers of one input are searched together, each in its own encoding") {
  const auto weights = test::heavy_tailed(kRows * kInputs, 1);
  const auto x = test::correlated_inputs(300, kInputs, 2);
  const auto hessian = test::hessian_of(x, kInputs);
  const auto magnitudes = magnitudes_of(x);
  const std::span<const float> all(weights);
  const auto fine = test::affine(4, 32, ir::ZeroKind::kPoints);
  const AwqLayer whole[] = {{{all, kRows, kInputs}, fine}};
  const AwqLayer parts[] = {{{all.first(20 * kInputs), 20, kInputs}, fine},
                            {{all.subspan(20 * kInputs), kRows - 20, kInputs}, fine}};
  const AwqLayer mixed[] = {
      {{all.first(20 * kInputs), 20, kInputs}, test::affine(2, 0, ir::ZeroKind::kPoints)},
      {{all.subspan(20 * kInputs), kRows - 20, kInputs}, fine}};
  ThreadPool pool(2);
  const auto a = awq(whole, kInputs, magnitudes, hessian, {}, pool);
  const auto b = awq(parts, kInputs, magnitudes, hessian, {}, pool);
  const auto c = awq(mixed, kInputs, magnitudes, hessian, {}, pool);
  REQUIRE(a);
  REQUIRE(b);
  REQUIRE(c);
  CHECK(a->scales == b->scales);
  CHECK(b->error == Approx(a->error));
  CHECK(c->rounding_error > 2 * a->rounding_error);
}

TEST_CASE("cut weights never lose more, in any group and for any threads") {
  const auto weights = test::heavy_tailed(kRows * kInputs, 1);
  const auto values = test::hessian_of(test::correlated_inputs(300, kInputs, 2), kInputs);
  const auto hessian = Hessian::make(values, kInputs);
  REQUIRE(hessian);
  std::vector<float> scales(kInputs, 1.0f);
  scales[5] = 3;
  for (const std::int64_t group : {0, 32, 40}) {
    for (const auto zero : {ir::ZeroKind::kConstant, ir::ZeroKind::kMinima}) {
      const auto encoding = test::affine(3, group, zero);
      INFO(encoding.to_string());
      ThreadPool one(1), five(5);
      const SearchOptions absmax{Search::kAbsmax, {}};
      const auto a = clip({weights, kRows, kInputs}, scales, *hessian, encoding, absmax, one);
      const auto b = clip({weights, kRows, kInputs}, scales, *hessian, encoding, absmax, five);
      REQUIRE(a);
      REQUIRE(b);
      CHECK(a->limits == b->limits);
      CHECK(a->error == b->error);
      CHECK(a->error < (zero == ir::ZeroKind::kConstant ? 0.8 : 1.0) * a->rounding_error);
      CHECK(std::ssize(a->limits) == kRows * encoding.groups(kInputs));
      auto cut = weights;
      cut_rows(cut, a->limits, kInputs, encoding);
      CHECK(cut != weights);
    }
  }
}

TEST_CASE("HQQ's minima leave smaller errors than the extremes'") {
  const auto weights = test::heavy_tailed(kRows * kInputs, 3);
  for (const int bits : {2, 3, 4, 8}) {
    for (const std::int64_t group : {0, 32, 40}) {
      const auto encoding = test::affine(bits, group, ir::ZeroKind::kMinima);
      INFO(encoding.to_string());
      ThreadPool one(1), five(5);
      ir::Rows plain, rows, again;
      REQUIRE(quantize_rows({weights, kRows, kInputs}, encoding, {Search::kAbsmax, {}}, plain));
      REQUIRE(hqq({weights, kRows, kInputs}, encoding, {}, rows, one));
      REQUIRE(hqq({weights, kRows, kInputs}, encoding, {}, again, five));
      CHECK(rows.codes == again.codes);
      CHECK(rows.minima == again.minima);
      CHECK(mean_size(weights, rows, encoding) < mean_size(weights, plain, encoding));
    }
  }
  ThreadPool pool(1);
  ir::Rows rows;
  const std::vector<float> zeros(kRows * kInputs);
  const auto encoding = test::affine(4, 32, ir::ZeroKind::kMinima);
  REQUIRE(hqq({zeros, kRows, kInputs}, encoding, {}, rows, pool));
  CHECK(mean_size(zeros, rows, encoding) == 0);
}

TEST_CASE("a correction of full rank leaves nothing, one by the Hessian suits it best") {
  const auto errors = test::heavy_tailed(kRows * kInputs, 4);
  const auto hessian = test::hessian_of(test::correlated_inputs(300, kInputs, 5), kInputs);
  ThreadPool pool(2);
  LowRankOptions options;
  options.rank = 1000;
  const auto whole = low_rank(errors, kRows, kInputs, hessian, options, pool);
  REQUIRE(whole);
  CHECK(whole->rank == kRows);
  CHECK(whole->error < 1e-10 * whole->error_before);
  options.rank = 8;
  const auto eora = low_rank(errors, kRows, kInputs, hessian, options, pool);
  const auto lorc = low_rank(errors, kRows, kInputs, {}, options, pool);
  REQUIRE(eora);
  REQUIRE(lorc);
  CHECK(eora->error < eora->error_before);
  CHECK(lorc->error < lorc->error_before);
  // What LoRC leaves of the outputs' error.
  std::vector<float> rest(errors);
  for (std::int64_t i = 0; i < kRows; ++i) {
    for (std::int64_t j = 0; j < kInputs; ++j) {
      for (std::int64_t k = 0; k < 8; ++k) {
        rest[i * kInputs + j] -= lorc->a[i * 8 + k] * lorc->b[k * kInputs + j];
      }
    }
  }
  const auto left = low_rank(rest, kRows, kInputs, hessian, options, pool);
  REQUIRE(left);
  CHECK(eora->error < left->error_before);
}

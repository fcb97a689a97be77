#include "quant/scale_fit.h"

#include "quant/decode.h"
#include "quant/hessian.h"
#include "quant/quantize.h"
#include "unit/catch.h"
#include "unit/quant/hessians.h"
#include "unit/quant/weights.h"

using namespace thimble;
using namespace thimble::quant;

namespace {

constexpr std::int64_t kRows = 70, kInputs = 96;

double error_of(std::span<const float> weights, const ir::Rows& rows, const ir::Encoding& e,
                std::span<const double> hessian) {
  std::vector<float> decoded(weights.size());
  REQUIRE(decode_rows(e, rows, kRows, kInputs, decoded.data()));
  for (std::size_t i = 0; i < decoded.size(); ++i) decoded[i] = weights[i] - decoded[i];
  ThreadPool pool(1);
  return Hessian::make(hessian, kInputs)->error(decoded, kRows, pool);
}

}  // namespace

TEST_CASE("fitted scales are where no scale can move to lose less") {
  const auto weights = test::heavy_tailed(kRows * kInputs, 1);
  const auto x = test::correlated_inputs(300, kInputs, 2);
  const auto hessian = test::hessian_of(x, kInputs);
  ThreadPool one(1), five(5);
  for (const auto zero : {ir::ZeroKind::kConstant, ir::ZeroKind::kPoints, ir::ZeroKind::kMinima}) {
    for (const std::int64_t group : {0, 32, 40}) {  // the last group of 40 is shorter
      auto encoding = test::affine(3, group, zero, ir::DType::kF32);
      ir::Rows rows;
      REQUIRE(quantize_rows({weights, kRows, kInputs}, encoding, {Search::kAbsmax, {}}, rows));
      const auto fit = fit_scales({weights, kRows, kInputs}, rows, encoding, hessian, one);
      REQUIRE(fit);
      CHECK(fit->rows.codes == rows.codes);
      CHECK(fit->error_before == Approx(error_of(weights, rows, encoding, hessian)).epsilon(1e-5));
      const double least = error_of(weights, fit->rows, encoding, hessian);
      CHECK(fit->error == Approx(least).epsilon(1e-5));
      CHECK(least < 0.97 * fit->error_before);
      for (const double factor : {0.97, 1.03}) {
        for (const std::size_t at : {std::size_t{0}, fit->rows.scales.size() / 2}) {
          ir::Rows moved = fit->rows;
          moved.scales[at] = static_cast<float>(moved.scales[at] * factor);
          CHECK(error_of(weights, moved, encoding, hessian) >= least);
        }
      }
      const auto again = fit_scales({weights, kRows, kInputs}, rows, encoding, hessian, five);
      REQUIRE(again);
      CHECK(again->rows.scales == fit->rows.scales);
      CHECK(again->error == fit->error);
    }
  }
}

TEST_CASE("groups of zeros, dead inputs and coarse scale types keep what they had or lose less") {
  auto weights = test::heavy_tailed(kRows * kInputs, 1);
  for (std::size_t i = 0; i < 32; ++i) weights[i] = 0;
  auto hessian = test::hessian_of(test::correlated_inputs(300, kInputs, 2), kInputs);
  for (std::size_t i = 0; i < kInputs; ++i) {
    for (std::size_t dead = 32; dead < 64; ++dead)
      hessian[i * kInputs + dead] = hessian[dead * kInputs + i] = 0;
  }
  const auto encoding = test::affine(3, 32, ir::ZeroKind::kConstant, ir::DType::kBF16);
  ThreadPool pool(2);
  ir::Rows rows;
  REQUIRE(quantize_rows({weights, kRows, kInputs}, encoding, {Search::kAbsmax, {}}, rows));
  const auto fit = fit_scales({weights, kRows, kInputs}, rows, encoding, hessian, pool);
  REQUIRE(fit);
  CHECK(fit->rows.scales[0] == 0);
  CHECK(fit->rows.scales[1] == rows.scales[1]);
  CHECK(fit->error <= fit->error_before);
  const std::vector<double> none(kInputs * kInputs);
  CHECK(fit_scales({weights, kRows, kInputs}, rows, encoding, none, pool)->rows.scales ==
        rows.scales);
}

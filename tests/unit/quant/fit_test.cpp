#include "quant/fit.h"

#include <cstring>

#include "unit/catch.h"
#include "unit/quant/weights.h"

using namespace thimble;
using namespace thimble::quant;

namespace {

void keep(float*) {}
void to_bfloat(float* lanes) {  // a rounding that changes most numbers
  for (int i = 0; i < kLanes; ++i) {
    std::uint32_t bits;
    std::memcpy(&bits, lanes + i, 4);
    bits &= 0xffff0000u;
    std::memcpy(lanes + i, &bits, 4);
  }
}

struct Output {
  FitParameters parameters;
  std::vector<std::uint8_t> codes;
  FitCodes fitted;
};

Output run(const FitKernels& kernels, const FitInput& input) {
  Output out;
  out.codes.resize(static_cast<std::size_t>(input.n * kLanes));
  out.fitted.codes = out.codes.data();
  kernels.fit(input, out.parameters);
  kernels.encode(input, out.parameters, out.fitted);
  return out;
}

bool same(const float* a, const float* b) { return std::memcmp(a, b, kLanes * sizeof(float)) == 0; }

}  // namespace

TEST_CASE("every variant gives the same bits") {
  const auto variants = fit_variants();
  REQUIRE(variants.front()->isa == kernels::Isa::kScalar);
  std::uint64_t seed = 0;
  for (const std::int64_t n : {1, 7, 16, 32, 100, 129, 576}) {
    for (const auto zero :
         {ir::ZeroKind::kConstant, ir::ZeroKind::kPoints, ir::ZeroKind::kMinima}) {
      for (const int bits : {2, 3, 4, 6, 8}) {
        std::vector<float> x = test::heavy_tailed(n * kLanes, ++seed);
        const std::vector<float> importance = test::heavy_tailed(n, seed + 1000);
        for (std::int64_t k = 0; k < n; ++k) {  // lanes at the edges of what there is
          x[static_cast<std::size_t>(k * kLanes + 1)] = 0;
          x[static_cast<std::size_t>(k * kLanes + 2)] *= 1e30f;
          x[static_cast<std::size_t>(k * kLanes + 3)] *= 1e-38f;
          x[static_cast<std::size_t>(k * kLanes + 4)] = -0.25f;
        }
        std::vector<float> squares;
        for (const float w : importance) squares.push_back(w * w);
        std::vector<float> levels;
        for (int code = 0; code < 1 << bits; ++code)
          levels.push_back(static_cast<float>(code * code - 3 * code - (9 << bits) / 8));
        levels[0] = levels[1] = levels[2] - 1;  // twice the same: the lower code
        const bool coded = zero == ir::ZeroKind::kConstant && bits <= 4 && seed % 3 != 0;
        const float* table = coded ? levels.data() : nullptr;
        FitInput input{x.data(),
                       seed % 2 == 0 ? squares.data() : nullptr,
                       n,
                       zero,
                       zero == ir::ZeroKind::kConstant ? 1 << (bits - 1) : 0,
                       (1 << bits) - 1,
                       table,
                       seed % 5 == 0,
                       true,
                       to_bfloat,
                       keep};
        const Output expected = run(*variants.front(), input);
        for (const FitKernels* variant : variants) {
          if (!kernels::cpu_has(variant->isa)) continue;
          const Output actual = run(*variant, input);
          INFO("isa " << kernels::isa_name(variant->isa) << " n " << n << " bits " << bits);
          CHECK(same(actual.parameters.scale, expected.parameters.scale));
          CHECK(same(actual.parameters.zero, expected.parameters.zero));
          CHECK(same(actual.parameters.minimum, expected.parameters.minimum));
          CHECK(same(actual.fitted.noise, expected.fitted.noise));
          CHECK(same(actual.fitted.signal, expected.fitted.signal));
          CHECK(actual.codes == expected.codes);
          FitMeasure measured, wanted;
          variant->measure(input, expected.parameters, measured);
          variants.front()->measure(input, expected.parameters, wanted);
          CHECK(same(measured.error, wanted.error));
          CHECK(same(measured.yp, wanted.yp));
          CHECK(same(measured.pp, wanted.pp));
        }
      }
    }
  }
}

TEST_CASE("every variant transposes") {
  for (const FitKernels* variant : fit_variants()) {
    if (!kernels::cpu_has(variant->isa)) continue;
    for (const std::int64_t n : {1, 8, 15, 16, 50}) {
      const std::int64_t stride = n + 3;
      std::vector<float> x(static_cast<std::size_t>(stride * kLanes)),
          lanes(static_cast<std::size_t>(n * kLanes));
      for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i);
      variant->to_lanes(x.data(), stride, n, lanes.data());
      std::vector<std::uint8_t> codes(lanes.size()), rows(x.size(), 255);
      bool good = true;
      for (std::int64_t k = 0; k < n; ++k) {
        for (int r = 0; r < kLanes; ++r) {
          const auto at = static_cast<std::size_t>(k * kLanes + r);
          good = good && lanes[at] == static_cast<float>(r * stride + k);
          codes[at] = static_cast<std::uint8_t>((r * n + k) % 251);
        }
      }
      variant->from_lanes(codes.data(), n, rows.data(), stride);
      for (std::int64_t k = 0; k < stride; ++k) {
        for (int r = 0; r < kLanes; ++r) {
          const auto expected = k < n ? (r * n + k) % 251 : 255;
          good = good && rows[static_cast<std::size_t>(r * stride + k)] == expected;
        }
      }
      CHECK(good);
    }
  }
}

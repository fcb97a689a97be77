#include "support/math.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "unit/catch.h"

// Against libm in long double (x86: 64 bits of mantissa; aarch64: 113), over samples spread evenly
// over the bit patterns, so over every magnitude.

namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

float from_bits(std::uint32_t bits) { return std::bit_cast<float>(bits); }

// Distance in representable values, 0 for two NaNs.
std::int64_t ulps(float a, float b) {
  if (std::isnan(a) && std::isnan(b)) return 0;
  if (std::isnan(a) || std::isnan(b)) return std::numeric_limits<std::int32_t>::max();
  const auto order = [](float x) {
    const auto bits = std::bit_cast<std::int32_t>(x);
    return bits < 0 ? -static_cast<std::int64_t>(bits & 0x7fffffff)
                    : static_cast<std::int64_t>(bits);
  };
  return std::abs(order(a) - order(b));
}

template <class Mine, class Reference>
std::int64_t worst_ulps(Mine mine, Reference reference, float limit, std::uint32_t step = 20011) {
  std::int64_t worst = 0;
  for (std::uint32_t i = 0; i < 0xffffffffu - step; i += step) {
    const float x = from_bits(i);
    if (std::abs(x) > limit) continue;
    const auto expected = static_cast<float>(reference(static_cast<long double>(x)));
    const std::int64_t distance = ulps(mine(x), expected);
    if (distance > worst) {
      worst = distance;
      UNSCOPED_INFO("x = " << x << ": " << mine(x) << ", not " << expected);
    }
  }
  return worst;
}

template <class Mine, class Reference>
double worst_relative(Mine mine, Reference reference, double low, double high, int samples) {
  double worst = 0;
  std::uint64_t state = 1;
  for (int i = 0; i < samples; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    const double x = low + (high - low) * (static_cast<double>(state >> 11) * 0x1p-53);
    const long double expected = reference(static_cast<long double>(x));
    const long double error = std::abs((static_cast<long double>(mine(x)) - expected) / expected);
    if (error > worst) {
      worst = static_cast<double>(error);
      UNSCOPED_INFO("x = " << x << ": relative error " << worst);
    }
  }
  return worst;
}

#define F32(name) [](float x) { return thimble::math::name(x); }
#define F64(name) [](double x) { return thimble::math::name(x); }
#define REF(name) [](long double x) { return std::name(x); }

}  // namespace

TEST_CASE("f32 functions are within 1 ulp over all magnitudes") {
  CHECK(worst_ulps(F32(exp), REF(exp), kInf) <= 1);
  CHECK(worst_ulps(F32(expm1), REF(expm1), kInf) <= 1);
  CHECK(worst_ulps(F32(log), REF(log), kInf) <= 1);
  CHECK(worst_ulps(F32(log1p), REF(log1p), kInf) <= 1);
  CHECK(worst_ulps(F32(sin), REF(sin), 0x1p30f) <= 1);
  CHECK(worst_ulps(F32(cos), REF(cos), 0x1p30f) <= 1);
  CHECK(worst_ulps(F32(tanh), REF(tanh), kInf) <= 1);
  CHECK(worst_ulps(F32(erf), REF(erf), kInf) <= 1);
  CHECK(worst_ulps(F32(atan), REF(atan), kInf) <= 1);
  CHECK(worst_ulps(
            F32(sigmoid), [](long double x) { return 1 / (1 + std::exp(-x)); }, kInf) <= 1);
}

TEST_CASE("f32 functions are within 1 ulp where models use them") {
  const auto dense = [](auto mine, auto reference, float low, float high) {
    std::int64_t worst = 0;
    for (int i = 0; i <= 200000; ++i) {
      const float x = low + (high - low) * (static_cast<float>(i) / 200000.0f);
      worst = std::max(worst,
                       ulps(mine(x), static_cast<float>(reference(static_cast<long double>(x)))));
    }
    return worst;
  };
  CHECK(dense(F32(exp), REF(exp), -104, 89) <= 1);
  CHECK(dense(F32(tanh), REF(tanh), -11, 11) <= 1);
  CHECK(dense(F32(erf), REF(erf), -4.1f, 4.1f) <= 1);
  CHECK(dense(F32(log), REF(log), 0.5f, 2) <= 1);
  CHECK(dense(F32(log1p), REF(log1p), -0.99f, 1) <= 1);
  CHECK(dense(F32(expm1), REF(expm1), -1, 1) <= 1);
  CHECK(dense(F32(sin), REF(sin), -100, 100) <= 1);
  CHECK(dense(F32(cos), REF(cos), -4096, 4096) <= 1);
  CHECK(dense(F32(atan), REF(atan), -20, 20) <= 1);
}

TEST_CASE("f32 pow is within 1 ulp and keeps C's special values") {
  std::int64_t worst = 0;
  std::uint64_t state = 7;
  for (int i = 0; i < 300000; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    const float x = from_bits(static_cast<std::uint32_t>(state >> 33) & 0x7fffffffu);
    const float y = -40.0f + 80.0f * static_cast<float>((state >> 8) & 0xffffff) / 0x1p24f;
    const auto expected =
        static_cast<float>(std::pow(static_cast<long double>(x), static_cast<long double>(y)));
    worst = std::max(worst, ulps(thimble::math::pow(x, y), expected));
  }
  CHECK(worst <= 1);

  const float values[] = {0.0f, -0.0f, 1.0f,   -1.0f,  2.0f,        -2.0f,
                          0.5f, -0.5f, 3.0f,   -3.0f,  kInf,        -kInf,
                          kNan, 1e30f, -1e30f, 1e-40f, 16777216.0f, 16777215.0f};
  for (const float x : values) {
    for (const float y : values) {
      const float mine = thimble::math::pow(x, y);
      const float expected = std::pow(x, y);
      INFO("pow(" << x << ", " << y << ") = " << mine << ", libm " << expected);
      CHECK(ulps(mine, expected) <= 1);
      if (!std::isnan(expected)) CHECK(std::signbit(mine) == std::signbit(expected));
    }
  }
}

TEST_CASE("f64 functions are good for 1e-15") {
  CHECK(worst_relative(F64(exp), REF(exp), -700, 700, 300000) < 1e-15);
  CHECK(worst_relative(F64(exp), REF(exp), -1, 1, 300000) < 1e-15);
  CHECK(worst_relative(F64(log), REF(log), 0, 4, 300000) < 1e-15);
  CHECK(worst_relative(F64(log), REF(log), 0, 1e300, 100000) < 1e-15);
  CHECK(worst_relative(F64(log), REF(log), 0.999, 1.001, 100000) < 1e-15);
  CHECK(worst_relative(F64(sin), REF(sin), -7, 7, 300000) < 1e-15);
  CHECK(worst_relative(F64(cos), REF(cos), -7, 7, 300000) < 1e-15);
  CHECK(worst_relative(F64(sin), REF(sin), -0x1p30, 0x1p30, 300000) < 1e-15);
  CHECK(worst_relative(F64(cos), REF(cos), -0x1p30, 0x1p30, 300000) < 1e-15);
  for (const double y : {-90.5, -3.0, -0.5, 0.1, 0.5, 1.0, 2.0, 3.25, 17.0, 101.5}) {
    const auto mine = [y](double x) { return thimble::math::pow(x, y); };
    const auto reference = [y](long double x) { return std::pow(x, static_cast<long double>(y)); };
    CHECK(worst_relative(mine, reference, 0.01, 100, 50000) < 1e-15);
    CHECK(worst_relative(mine, reference, 0.9, 1.1, 50000) < 1e-15);
  }
  CHECK(thimble::math::exp(709.7) == Approx(std::exp(709.7)).epsilon(1e-15));
  CHECK(thimble::math::exp(-740.0) == std::exp(-740.0));  // subnormal
  CHECK(thimble::math::log(5e-324) == Approx(std::log(5e-324)).epsilon(1e-15));
  CHECK(thimble::math::pow(1.0 + 0x1p-52, 1e18) ==
        Approx(std::pow(1.0 + 0x1p-52, 1e18)).epsilon(1e-15));
}

TEST_CASE("special values") {
  namespace m = thimble::math;
  CHECK(m::exp(kInf) == kInf);
  CHECK(m::exp(-kInf) == 0);
  CHECK(m::exp(1000.0) == kInf);
  CHECK(m::exp(-1000.0) == 0);
  CHECK(m::log(0.0f) == -kInf);
  CHECK(m::log(-0.0f) == -kInf);
  CHECK(std::isnan(m::log(-1.0f)));
  CHECK(m::log(kInf) == kInf);
  CHECK(m::log1p(-1.0f) == -kInf);
  CHECK(m::tanh(kInf) == 1);
  CHECK(m::erf(-kInf) == -1);
  CHECK(m::sigmoid(kInf) == 1);
  CHECK(m::sigmoid(-kInf) == 0);
  CHECK(m::sigmoid(-100.0f) > 0);
  CHECK(m::atan(kInf) == static_cast<float>(1.5707963267948966));
  for (auto* f :
       {static_cast<float (*)(float)>(m::sin), static_cast<float (*)(float)>(m::tanh),
        static_cast<float (*)(float)>(m::erf), static_cast<float (*)(float)>(m::atan),
        static_cast<float (*)(float)>(m::expm1), static_cast<float (*)(float)>(m::log1p)}) {
    CHECK(std::signbit(f(-0.0f)));
    CHECK(f(-0.0f) == 0);
  }
}

TEST_CASE("every NaN result is the same NaN") {
  namespace m = thimble::math;
  const float negative_nan = from_bits(0xffc12345u);
  for (auto* f :
       {static_cast<float (*)(float)>(m::exp), static_cast<float (*)(float)>(m::expm1),
        static_cast<float (*)(float)>(m::log), static_cast<float (*)(float)>(m::log1p),
        static_cast<float (*)(float)>(m::sin), static_cast<float (*)(float)>(m::cos),
        static_cast<float (*)(float)>(m::tanh), static_cast<float (*)(float)>(m::erf),
        static_cast<float (*)(float)>(m::sigmoid), static_cast<float (*)(float)>(m::atan)}) {
    CHECK(std::bit_cast<std::uint32_t>(f(negative_nan)) == 0x7fc00000u);
  }
  CHECK(std::bit_cast<std::uint32_t>(m::log(-2.0f)) == 0x7fc00000u);
  CHECK(std::bit_cast<std::uint32_t>(m::sin(kInf)) == 0x7fc00000u);
  CHECK(std::bit_cast<std::uint32_t>(m::pow(negative_nan, 2.0f)) == 0x7fc00000u);
}

TEST_CASE("the same bits on every machine: a digest of results") {
  // Pinned; a compiler, an ISA or a flag that changes any bit of these results changes the sum.
  namespace m = thimble::math;
  std::uint64_t sum = 0;
  const auto add = [&](auto value) {
    std::uint64_t bits = 0;
    if constexpr (sizeof value == 4) {
      bits = std::bit_cast<std::uint32_t>(value);
    } else {
      bits = std::bit_cast<std::uint64_t>(value);
    }
    sum = (sum ^ bits) * 0x100000001b3u;
  };
  for (int i = -2000; i <= 2000; ++i) {
    const double x = i * 0.0137 + 1e-5;
    const auto f = static_cast<float>(x);
    for (const float v :
         {m::exp(f), m::expm1(f), m::sin(f), m::cos(f), m::tanh(f), m::erf(f), m::sigmoid(f),
          m::atan(f), m::log(f * f), m::log1p(f * f), m::pow(f * f, 0.3f)}) {
      add(v);
    }
    for (const double v : {m::exp(x), m::log(x * x), m::sin(x), m::cos(x), m::pow(x * x, 1.7)})
      add(v);
  }
  CHECK(sum == 0x286a2143cb7466cbu);
}

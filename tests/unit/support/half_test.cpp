#include "support/half.h"

#include <cmath>
#include <cstdint>
#include <limits>

#include "unit/catch.h"

using thimble::bfloat_to_float;
using thimble::float_to_bfloat;
using thimble::float_to_half;
using thimble::half_to_float;

namespace {

// The definition of binary16, in doubles.
double half_by_definition(std::uint16_t h) {
  const int exponent = (h >> 10) & 31;
  const int fraction = h & 1023;
  const double sign = (h & 0x8000) != 0 ? -1 : 1;
  if (exponent == 31) return fraction == 0 ? sign * INFINITY : NAN;
  if (exponent == 0) return sign * std::ldexp(fraction, -24);
  return sign * std::ldexp(1024 + fraction, exponent - 25);
}

// Nearest by search among the finite values, ties to the even code; beyond the largest by half a
// step or more: infinity.
std::uint16_t nearest_half(double x) {
  const std::uint16_t sign = std::signbit(x) ? 0x8000 : 0;
  const double size = std::abs(x);
  if (size >= 65520) return sign | 0x7c00;
  std::uint16_t low = 0;
  std::uint16_t high = 0x7c00;  // stands for 65536 here
  while (high - low > 1) {
    const auto middle = static_cast<std::uint16_t>((low + high) / 2);
    (half_by_definition(middle) <= size ? low : high) = middle;
  }
  const double below = size - half_by_definition(low);
  const double above = (high == 0x7c00 ? 65536.0 : half_by_definition(high)) - size;
  const bool up = above < below || (above == below && (high & 1) == 0);
  return sign | (up ? high : low);
}

}  // namespace

TEST_CASE("every half becomes its float, and comes back") {
  for (std::uint32_t code = 0; code <= 0xffff; ++code) {
    const auto h = static_cast<std::uint16_t>(code);
    const float f = half_to_float(h);
    const double expected = half_by_definition(h);
    if (std::isnan(expected)) {
      REQUIRE(std::isnan(f));
      REQUIRE(std::isnan(half_to_float(float_to_half(f))));
    } else {
      REQUIRE(static_cast<double>(f) == expected);
      REQUIRE(std::signbit(f) == ((h & 0x8000) != 0));
      REQUIRE(float_to_half(f) == h);
    }
  }
}

TEST_CASE("floats round to the nearest half, ties to even") {
  // Each half, the points between it and the next, and one ulp of f32 around those.
  for (std::uint32_t code = 0; code < 0x7c00; ++code) {
    const double here = half_by_definition(static_cast<std::uint16_t>(code));
    const double next =
        code == 0x7bff ? 65536.0 : half_by_definition(static_cast<std::uint16_t>(code + 1));
    const auto middle = static_cast<float>((here + next) / 2);
    for (const float f : {middle, std::nextafter(middle, 0.0f), std::nextafter(middle, 1e6f),
                          std::nextafter(static_cast<float>(here), 1e6f)}) {
      REQUIRE(float_to_half(f) == nearest_half(f));
      REQUIRE(float_to_half(-f) == nearest_half(-static_cast<double>(f)));
    }
  }
  for (std::uint64_t bits = 0; bits <= 0xffffffffu; bits += 65521) {
    const float f = std::bit_cast<float>(static_cast<std::uint32_t>(bits));
    if (std::isnan(f)) {
      REQUIRE(std::isnan(half_to_float(float_to_half(f))));
    } else {
      REQUIRE(float_to_half(f) == nearest_half(f));
    }
  }
}

TEST_CASE("bfloat") {
  for (std::uint32_t code = 0; code <= 0xffff; ++code) {
    const auto b = static_cast<std::uint16_t>(code);
    const float f = bfloat_to_float(b);
    if (std::isnan(f)) {
      REQUIRE(std::isnan(bfloat_to_float(float_to_bfloat(f))));
    } else {
      REQUIRE(float_to_bfloat(f) == b);
    }
  }
  // 1 + 2^-8 lies halfway between 1 and 1 + 2^-7: to the even one; the next tie goes up.
  CHECK(float_to_bfloat(1.00390625f) == 0x3f80);
  CHECK(float_to_bfloat(1.01171875f) == 0x3f82);
  CHECK(float_to_bfloat(std::nextafter(1.00390625f, 2.0f)) == 0x3f81);
  CHECK(float_to_bfloat(std::numeric_limits<float>::max()) == 0x7f80);
  // A NaN whose payload lies in the dropped bits alone stays a NaN.
  CHECK(std::isnan(bfloat_to_float(float_to_bfloat(std::bit_cast<float>(0x7f800001u)))));
}

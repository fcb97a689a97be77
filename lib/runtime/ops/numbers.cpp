#include "runtime/ops/numbers.h"

#include <cmath>
#include <limits>

#include "support/half.h"

namespace thimble::runtime {
namespace {

using program::Type;

// Floats of 8 bits and fewer. `most`: the largest finite magnitude's code.
struct SmallFloat {
  int mantissa, bias;
  std::uint8_t most, nan, infinity;  // 0: there is none
  bool signed_zero;
};

SmallFloat small_float(Type type) {
  switch (type) {
    case Type::kF8E4M3FN:
      return {3, 7, 0x7e, 0x7f, 0, true};
    case Type::kF8E4M3FNUZ:
      return {3, 8, 0x7f, 0x80, 0, false};
    case Type::kF8E5M2:
      return {2, 15, 0x7b, 0x7e, 0x7c, true};
    case Type::kF8E5M2FNUZ:
      return {2, 16, 0x7f, 0x80, 0, false};
    default:  // kF4E2M1
      return {1, 1, 0x07, 0, 0, true};
  }
}

std::uint8_t sign_bit(Type type) { return type == Type::kF4E2M1 ? 0x08 : 0x80; }

double magnitude_of(const SmallFloat& f, int code) {
  const int exponent = code >> f.mantissa, fraction = code & ((1 << f.mantissa) - 1);
  const int whole_part = exponent == 0 ? fraction : fraction + (1 << f.mantissa);
  return std::ldexp(whole_part, (exponent == 0 ? 1 : exponent) - f.bias - f.mantissa);
}

// 2^(code - 127).
std::uint8_t power_code(double x, Rounding rounding) {
  if (std::isnan(x) || x < 0) return 0xff;
  if (std::isinf(x)) return rounding.saturate ? 0xfe : 0xff;
  if (x == 0) return 0;
  int exponent = 0;
  const double fraction = std::frexp(x, &exponent);  // in [0.5, 1)
  int code = exponent - 1 + 127;
  using Power = Rounding::Power;
  if (rounding.power == Power::kUp && fraction > 0.5) ++code;
  if (rounding.power == Power::kNearest && fraction >= 0.75) ++code;
  if (code > 0xfe) return rounding.saturate ? 0xfe : 0xff;
  return static_cast<std::uint8_t>(std::max(code, 0));
}

bool is_narrow_float(Type type) {
  return (type >= Type::kF8E4M3FN && type <= Type::kF8E5M2FNUZ) || type == Type::kF4E2M1 ||
         type == Type::kF8E8M0;
}

std::int64_t integer_at(const Value& v, std::int64_t i) {
  switch (v.type) {
    case Type::kI64:
    case Type::kU64:
      return data_of<std::int64_t>(v)[i];
    case Type::kI32:
      return data_of<std::int32_t>(v)[i];
    case Type::kU32:
      return data_of<std::uint32_t>(v)[i];
    case Type::kI16:
      return data_of<std::int16_t>(v)[i];
    case Type::kU16:
      return data_of<std::uint16_t>(v)[i];
    case Type::kI8:
    case Type::kI4:
    case Type::kI2:
      return data_of<std::int8_t>(v)[i];
    default:
      return data_of<std::uint8_t>(v)[i];
  }
}

void set_integer(Value& v, std::int64_t i, std::int64_t x) {
  switch (v.type) {
    case Type::kI64:
    case Type::kU64:
      data_of<std::int64_t>(v)[i] = x;
      break;
    case Type::kI32:
    case Type::kU32:
      data_of<std::int32_t>(v)[i] = static_cast<std::int32_t>(x);
      break;
    case Type::kI16:
    case Type::kU16:
      data_of<std::int16_t>(v)[i] = static_cast<std::int16_t>(x);
      break;
    case Type::kBool:
      data_of<std::uint8_t>(v)[i] = x != 0;
      break;
    case Type::kU4:
      data_of<std::uint8_t>(v)[i] = static_cast<std::uint8_t>(x & 15);
      break;
    case Type::kI4:
      data_of<std::int8_t>(v)[i] = static_cast<std::int8_t>(((x & 15) ^ 8) - 8);
      break;
    case Type::kU2:
      data_of<std::uint8_t>(v)[i] = static_cast<std::uint8_t>(x & 3);
      break;
    case Type::kI2:
      data_of<std::int8_t>(v)[i] = static_cast<std::int8_t>(((x & 3) ^ 2) - 2);
      break;
    default:
      data_of<std::uint8_t>(v)[i] = static_cast<std::uint8_t>(x);
      break;
  }
}

double real_at(const Value& v, std::int64_t i) {
  switch (v.type) {
    case Type::kF32:
      return v.floats()[i];
    case Type::kF64:
      return data_of<double>(v)[i];
    case Type::kF16:
      return half_to_float(data_of<std::uint16_t>(v)[i]);
    case Type::kBF16:
      return bfloat_to_float(data_of<std::uint16_t>(v)[i]);
    default:
      return narrow_number(v.type, data_of<std::uint8_t>(v)[i]);
  }
}

// `x` is a double, or an integer that becomes an f32 in one rounding.
template <class W>
void set_real(Value& v, std::int64_t i, W x, Rounding rounding) {
  switch (v.type) {
    case Type::kF32:
      v.floats()[i] = static_cast<float>(x);
      break;
    case Type::kF64:
      data_of<double>(v)[i] = static_cast<double>(x);
      break;
    case Type::kF16:
      data_of<std::uint16_t>(v)[i] = float_to_half(static_cast<float>(x));
      break;
    case Type::kBF16:
      data_of<std::uint16_t>(v)[i] = float_to_bfloat(static_cast<float>(x));
      break;
    default:
      data_of<std::uint8_t>(v)[i] = narrow_code(v.type, static_cast<double>(x), rounding);
      break;
  }
}

template <class W>
void set_any(Value& v, std::int64_t i, W x, Rounding rounding) {
  if (family_of(v.type) == Family::kReal) return set_real(v, i, x, rounding);
  if constexpr (std::is_integral_v<W>) {
    set_integer(v, i, static_cast<std::int64_t>(x));
  } else if (v.type == Type::kBool) {
    data_of<std::uint8_t>(v)[i] = x != 0;
  } else if (v.type == Type::kU64 && x >= 9.2e18) {
    data_of<std::uint64_t>(v)[i] = x < 18446744073709551616.0 ? static_cast<std::uint64_t>(x) : 0;
  } else {
    set_integer(v, i, whole(x));
  }
}

}  // namespace

std::uint8_t narrow_code(Type type, double x, Rounding rounding) {
  if (type == Type::kF8E8M0) return power_code(x, rounding);
  const SmallFloat f = small_float(type);
  const std::uint8_t sign = std::signbit(x) ? sign_bit(type) : 0;
  if (std::isnan(x)) {
    if (type == Type::kF4E2M1) return 0x08;  // it has none: minus zero, as ONNX's cases have it
    // Without a minus zero the only NaN is in its place.
    return f.signed_zero ? static_cast<std::uint8_t>(sign | f.nan) : f.nan;
  }
  // Rounded on the grid that its binade has.
  int exponent = 0;
  if (x != 0 && !std::isinf(x)) std::frexp(x, &exponent);
  const int binade = std::max(exponent - 1, 1 - f.bias);
  const double scaled = std::ldexp(std::fabs(x), f.mantissa - binade);
  const double rounded =
      std::isinf(x) ? x : std::ldexp(std::nearbyint(scaled), binade - f.mantissa);
  if (std::fabs(rounded) > magnitude_of(f, f.most)) {
    if (rounding.saturate || f.nan == 0) return static_cast<std::uint8_t>(sign | f.most);
    const std::uint8_t beyond = f.infinity != 0 ? f.infinity : f.nan;
    return f.signed_zero ? static_cast<std::uint8_t>(sign | beyond) : beyond;
  }
  if (rounded == 0) return f.signed_zero ? sign : 0;
  std::frexp(rounded, &exponent);
  const int at = exponent - 1 + f.bias;  // the biased exponent, where it is normal
  const int code = at < 1 ? static_cast<int>(std::ldexp(rounded, f.bias - 1 + f.mantissa))
                          : (at << f.mantissa) +
                                static_cast<int>(std::ldexp(rounded, f.mantissa - exponent + 1)) -
                                (1 << f.mantissa);
  return static_cast<std::uint8_t>(sign | code);
}

double narrow_number(Type type, std::uint8_t code) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  if (type == Type::kF8E8M0) return code == 0xff ? kNan : std::ldexp(1.0, code - 127);
  const SmallFloat f = small_float(type);
  const int magnitude = code & (sign_bit(type) - 1);
  if (!f.signed_zero && code == f.nan) return kNan;
  if (f.infinity != 0 && magnitude > f.infinity) return kNan;
  if (f.signed_zero && f.nan != 0 && f.infinity == 0 && magnitude == f.nan) return kNan;
  const double size = f.infinity != 0 && magnitude == f.infinity
                          ? std::numeric_limits<double>::infinity()
                          : magnitude_of(f, magnitude);
  return (code & sign_bit(type)) != 0 ? -size : size;
}

Family family_of(Type type) {
  const bool real = type == Type::kF32 || type == Type::kF64 || type == Type::kF16 ||
                    type == Type::kBF16 || is_narrow_float(type);
  return real ? Family::kReal : type == Type::kU64 ? Family::kUnsigned : Family::kSigned;
}

template <>
double element<double>(const Value& v, std::int64_t i) {
  if (family_of(v.type) == Family::kReal) return real_at(v, i);
  return v.type == Type::kU64 ? static_cast<double>(data_of<std::uint64_t>(v)[i])
                              : static_cast<double>(integer_at(v, i));
}
template <>
std::int64_t element<std::int64_t>(const Value& v, std::int64_t i) {
  return family_of(v.type) == Family::kReal ? whole(real_at(v, i)) : integer_at(v, i);
}
template <>
std::uint64_t element<std::uint64_t>(const Value& v, std::int64_t i) {
  return static_cast<std::uint64_t>(element<std::int64_t>(v, i));
}

template <>
void set_element<double>(Value& v, std::int64_t i, double x, Rounding rounding) {
  set_any(v, i, x, rounding);
}
template <>
void set_element<std::int64_t>(Value& v, std::int64_t i, std::int64_t x, Rounding rounding) {
  set_any(v, i, x, rounding);
}
template <>
void set_element<std::uint64_t>(Value& v, std::int64_t i, std::uint64_t x, Rounding rounding) {
  set_any(v, i, x, rounding);
}

Range range_of(Type type) {
  switch (type) {
    case Type::kI8:
      return {-128, 127};
    case Type::kU16:
      return {0, 65535};
    case Type::kI16:
      return {-32768, 32767};
    case Type::kI32:
      return {-2147483648.0, 2147483647.0};
    case Type::kU32:
      return {0, 4294967295.0};
    case Type::kU4:
      return {0, 15};
    case Type::kI4:
      return {-8, 7};
    case Type::kU2:
      return {0, 3};
    case Type::kI2:
      return {-2, 1};
    default:
      return {0, 255};
  }
}

Axis axis_view(const Dims& dims, std::size_t axis) {
  return {product_of(dims, 0, axis), dims[axis], product_of(dims, axis + 1, dims.size())};
}

}  // namespace thimble::runtime

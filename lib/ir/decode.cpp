#include "ir/decode.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "support/half.h"

namespace thimble::ir {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

template <class T>
void decode_plain(std::span<const std::byte> bytes, std::span<float> out) {
  for (std::size_t i = 0; i < out.size(); ++i) {
    T value;
    std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));
    out[i] = static_cast<float>(value);
  }
}

template <class F>
void decode_halves(std::span<const std::byte> bytes, std::span<float> out, F convert) {
  for (std::size_t i = 0; i < out.size(); ++i) {
    std::uint16_t value;
    std::memcpy(&value, bytes.data() + i * 2, 2);
    out[i] = convert(value);
  }
}

// An fp8 without infinities: `mantissa` bits of fraction, exponent bias `bias`.
float small_float(std::uint8_t b, int mantissa, int bias) {
  const int exponent = (b & 0x7f) >> mantissa;
  const int fraction = b & ((1 << mantissa) - 1);
  const int whole = exponent == 0 ? fraction : fraction + (1 << mantissa);
  const float magnitude =
      std::ldexp(static_cast<float>(whole), (exponent == 0 ? 1 : exponent) - bias - mantissa);
  return (b & 0x80) != 0 ? -magnitude : magnitude;
}

float byte_value(DType type, std::uint8_t b) {
  switch (type) {
    case DType::kU8:
      return b;
    case DType::kI8:
      return static_cast<std::int8_t>(b);
    case DType::kBool:
      return b != 0 ? 1.0f : 0.0f;
    case DType::kF8E4M3FN:
      return (b & 0x7f) == 0x7f ? kNan : small_float(b, 3, 7);
    case DType::kF8E4M3FNUZ:
      return b == 0x80 ? kNan : small_float(b, 3, 8);
    case DType::kF8E5M2:
      return half_to_float(static_cast<std::uint16_t>(b << 8));
    case DType::kF8E5M2FNUZ:
      return b == 0x80 ? kNan : small_float(b, 2, 16);
    case DType::kF8E8M0:
      return b == 0xff ? kNan : std::ldexp(1.0f, static_cast<int>(b) - 127);
    default:
      return kNan;
  }
}

float packed_value(DType type, int code) {
  static constexpr float kF4[8] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6};
  switch (type) {
    case DType::kI4:
      return static_cast<float>(code >= 8 ? code - 16 : code);
    case DType::kI2:
      return static_cast<float>(code >= 2 ? code - 4 : code);
    case DType::kF4E2M1:
      return (code & 8) != 0 ? -kF4[code & 7] : kF4[code];
    default:
      return static_cast<float>(code);
  }
}

Error too_short(std::size_t have, std::size_t want) {
  return invalid_file("a weight's rows are too short: " + std::to_string(have) + " of " +
                      std::to_string(want));
}

// scale * (code - zero), or fma(scale, code, minimum): the products that the kernels compute.
void decode_group(const Encoding& e, const GroupParameters& p, std::span<const std::uint8_t> codes,
                  float* out) {
  if (!e.table.empty()) {
    for (std::size_t i = 0; i < codes.size(); ++i) {
      out[i] = codes[i] < e.table.size() ? p.scale * e.table[codes[i]] : kNan;
    }
  } else if (e.zero == ZeroKind::kMinima) {
    for (std::size_t i = 0; i < codes.size(); ++i) {
      out[i] = std::fma(p.scale, static_cast<float>(codes[i]), p.minimum);
    }
  } else {
    for (std::size_t i = 0; i < codes.size(); ++i) {
      out[i] = p.scale * static_cast<float>(static_cast<int>(codes[i]) - p.zero);
    }
  }
}

}  // namespace

GroupParameters RowGroups::at(std::int64_t row, std::int64_t group) const {
  const Encoding& e = encoding_;
  const auto one = static_cast<std::size_t>(e.per_tensor ? 0 : row * count_ + group);
  GroupParameters p;
  if (e.kind == EncodingKind::kSuperBlock) {
    const auto super =
        static_cast<std::size_t>(row * supers_ + group * e.group_size / e.super_size);
    p.scale = rows_.scales[super] * static_cast<float>(rows_.sub_scales[one] - e.sub_scale_zero);
    p.zero = e.constant_zero;
    if (e.zero == ZeroKind::kMinima) {
      p.minimum = -rows_.minima[super] * static_cast<float>(rows_.sub_minima[one]);
    }
    return p;
  }
  p.scale = rows_.scales[one];
  p.zero = e.zero == ZeroKind::kPoints ? rows_.zero_points[one] : e.constant_zero;
  if (e.zero == ZeroKind::kMinima) p.minimum = rows_.minima[one];
  return p;
}

Status check_streams(const Encoding& e, const Rows& rows, std::int64_t inputs) {
  const auto count = static_cast<std::size_t>(rows.count);
  const std::size_t groups = e.per_tensor ? 1 : count * static_cast<std::size_t>(e.groups(inputs));
  const std::size_t supers = count * static_cast<std::size_t>(e.supers(inputs));
  const bool super = e.kind == EncodingKind::kSuperBlock;
  for (const StreamKind stream : e.streams()) {
    std::size_t have = 0, want = 0;
    switch (stream) {
      case StreamKind::kCodes:
        have = rows.codes.size(), want = count * static_cast<std::size_t>(inputs);
        break;
      case StreamKind::kScales:
        have = rows.scales.size(), want = super ? supers : groups;
        break;
      case StreamKind::kMinima:
        have = rows.minima.size(), want = super ? supers : groups;
        break;
      case StreamKind::kZeroPoints:
        have = rows.zero_points.size(), want = groups;
        break;
      case StreamKind::kSubScales:
        have = rows.sub_scales.size(), want = groups;
        break;
      case StreamKind::kSubMinima:
        have = rows.sub_minima.size(), want = groups;
        break;
      default:
        break;
    }
    if (have < want) return too_short(have, want);
  }
  return ok();
}

Status decode_dense(DType type, std::span<const std::byte> bytes, std::span<float> out) {
  const auto bits = static_cast<std::size_t>(dtype_bits(type));
  if (bits == 0 || type == DType::kC64 || type == DType::kC128) {
    return unsupported("values of type " + std::string(dtype_name(type)) + " cannot be numbers");
  }
  const std::size_t want = (out.size() * bits + 7) / 8;
  if (bytes.size() < want) return too_short(bytes.size(), want);
  switch (type) {
    case DType::kF32:
      if (!out.empty()) std::memcpy(out.data(), bytes.data(), out.size() * 4);
      break;
    case DType::kF64:
      decode_plain<double>(bytes, out);
      break;
    case DType::kI16:
      decode_plain<std::int16_t>(bytes, out);
      break;
    case DType::kU16:
      decode_plain<std::uint16_t>(bytes, out);
      break;
    case DType::kI32:
      decode_plain<std::int32_t>(bytes, out);
      break;
    case DType::kU32:
      decode_plain<std::uint32_t>(bytes, out);
      break;
    case DType::kI64:
      decode_plain<std::int64_t>(bytes, out);
      break;
    case DType::kU64:
      decode_plain<std::uint64_t>(bytes, out);
      break;
    case DType::kF16:
      decode_halves(bytes, out, half_to_float);
      break;
    case DType::kBF16:
      decode_halves(bytes, out, bfloat_to_float);
      break;
    default:
      for (std::size_t i = 0; i < out.size(); ++i) {
        if (bits == 8) {
          out[i] = byte_value(type, static_cast<std::uint8_t>(bytes[i]));
        } else {
          const std::size_t at = i * bits;
          const int byte = static_cast<int>(bytes[at / 8]);
          out[i] = packed_value(type, (byte >> (at % 8)) & ((1 << bits) - 1));
        }
      }
  }
  return ok();
}

std::vector<std::byte> encode_floats(DType type, std::span<const float> values) {
  const std::span<const std::byte> raw = std::as_bytes(values);
  if (type == DType::kF32) return {raw.begin(), raw.end()};
  THIMBLE_CHECK(type == DType::kF16 || type == DType::kBF16, "f32, f16 or bf16");
  std::vector<std::byte> out(2 * values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::uint16_t bits =
        type == DType::kF16 ? float_to_half(values[i]) : float_to_bfloat(values[i]);
    std::memcpy(out.data() + 2 * i, &bits, 2);
  }
  return out;
}

void unpack_narrow(DType type, std::span<const std::byte> packed, std::span<std::byte> out) {
  const auto bits = static_cast<unsigned>(dtype_bits(type));
  const bool is_signed = type == DType::kI4 || type == DType::kI2;
  const unsigned per_byte = 8 / bits, mask = (1u << bits) - 1, sign = 1u << (bits - 1);
  for (std::size_t i = 0; i < out.size() && i / per_byte < packed.size(); ++i) {
    const auto byte = std::to_integer<unsigned>(packed[i / per_byte]);
    const unsigned code = byte >> (i % per_byte * bits) & mask;
    out[i] = static_cast<std::byte>(is_signed ? (code ^ sign) - sign : code);
  }
}

Status decode_rows(const Encoding& encoding, DType type, const Rows& rows, std::int64_t inputs,
                   std::span<float> out) {
  const std::size_t elements =
      static_cast<std::size_t>(rows.count) * static_cast<std::size_t>(inputs);
  THIMBLE_CHECK(out.size() >= elements, "room for the decoded rows");
  if (encoding.is_dense()) return decode_dense(type, rows.dense, out.first(elements));
  if (encoding.kind == EncodingKind::kTernary || encoding.kind == EncodingKind::kSparse) {
    return unsupported("encoding " + encoding.to_string() + " cannot be decoded yet");
  }
  THIMBLE_TRY(check_streams(encoding, rows, inputs));
  const RowGroups groups(encoding, rows, inputs);
  const std::int64_t size = encoding.group_width(inputs);
  for (std::int64_t row = 0; row < rows.count; ++row) {
    for (std::int64_t g = 0; g < groups.count(); ++g) {
      const auto begin = static_cast<std::size_t>(row * inputs + g * size);
      const auto length = static_cast<std::size_t>(std::min(size, inputs - g * size));
      decode_group(encoding, groups.at(row, g), std::span(rows.codes).subspan(begin, length),
                   out.data() + begin);
    }
  }
  return ok();
}

}  // namespace thimble::ir

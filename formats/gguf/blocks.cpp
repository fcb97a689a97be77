// Layouts, little-endian; d, m, dmin are f16. "Halves" means that byte i holds weight i in its low
// four bits and weight i + n/2 in its high four.
//   Q4_0  32 weights: d, 16 bytes of halves             w = d (q - 8)
//   Q4_1  32: d, m, 16 bytes of halves                  w = d q + m
//   Q5_0  32: d, 32 fifth bits, 16 bytes of halves      w = d (q - 16)
//   Q5_1  32: d, m, 32 fifth bits, 16 bytes of halves   w = d q + m
//   Q8_0  32: d, 32 signed bytes                        w = d q
//   IQ4_NL  32: d, 16 bytes of halves                   w = d level[q]
//   MXFP4  32: a byte e, 16 bytes of halves             w = 2^(e - 128) (twice E2M1's number)
//   NVFP4  64: four bytes, an unsigned E4M3 for each 16, then 8 bytes of halves for each 16
//                                                       w = scale E2M1's number
//   TQ1_0  256: 48 bytes and 4 bytes of base 3, d: a byte holds five weights (of the last four,
//   four),
//          q_n = 3 (byte 3^n mod 256) / 256; the first 32 bytes hold five runs of 32 weights, the
//          next 16 five of 16, the last four four of 4        w = d (q - 1)
//   TQ2_0  256: 64 bytes of 2 bits, d                   w = d (q - 1)
//   Q2_K  256: 16 bytes (scale low, minimum high four bits), 64 bytes of 2 bits, d, dmin; groups of
//         16                                            w = d s q - dmin m
//   Q3_K  256: 32 bytes of third bits, 64 bytes of 2 bits, 12 bytes of 6-bit scales, d; groups of
//         16                                            w = d (s - 32) (q - 4)
//   Q4_K  256: d, dmin, 12 bytes of 6-bit scales and minima, 128 bytes of halves by 64; groups of
//         32                                            w = d s q - dmin m
//   Q5_K  256: as Q4_K, with 32 bytes of fifth bits before the halves
//   Q6_K  256: 128 bytes of low four bits, 64 of high two, 16 signed scales, d; groups of 16
//                                                       w = d s (q - 32)

#include "formats/gguf/blocks.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

#include "quant/levels.h"
#include "support/half.h"

namespace thimble::formats::gguf {
namespace {

using ir::DType;
using ir::Encoding;
using ir::EncodingKind;
using ir::Rows;
using ir::ZeroKind;

float half_at(const std::uint8_t* at) {
  std::uint16_t bits;
  std::memcpy(&bits, at, 2);
  return half_to_float(bits);
}

bool push_scale(std::vector<float>& stream, float value) {
  stream.push_back(value);
  return std::isfinite(value);
}

void push_halves(const std::uint8_t* bytes, int count, Rows& out) {
  for (int i = 0; i < count; ++i) out.codes.push_back(bytes[i] & 15);
  for (int i = 0; i < count; ++i) out.codes.push_back(bytes[i] >> 4);
}

// The last 32 codes gain a fifth bit each.
void add_fifth_bits(const std::uint8_t* bits, Rows& out) {
  std::uint32_t all;
  std::memcpy(&all, bits, 4);
  std::uint8_t* codes = out.codes.data() + out.codes.size() - 32;
  for (int i = 0; i < 32; ++i)
    codes[i] = static_cast<std::uint8_t>(codes[i] | ((all >> i) & 1) << 4);
}

bool unpack_q4_0(const std::uint8_t* b, Rows& out) {
  push_halves(b + 2, 16, out);
  return push_scale(out.scales, half_at(b));
}

bool unpack_q4_1(const std::uint8_t* b, Rows& out) {
  push_halves(b + 4, 16, out);
  const bool good = push_scale(out.scales, half_at(b));
  return push_scale(out.minima, half_at(b + 2)) && good;
}

bool unpack_q5_0(const std::uint8_t* b, Rows& out) {
  push_halves(b + 6, 16, out);
  add_fifth_bits(b + 2, out);
  return push_scale(out.scales, half_at(b));
}

bool unpack_q5_1(const std::uint8_t* b, Rows& out) {
  push_halves(b + 8, 16, out);
  add_fifth_bits(b + 4, out);
  const bool good = push_scale(out.scales, half_at(b));
  return push_scale(out.minima, half_at(b + 2)) && good;
}

bool unpack_q8_0(const std::uint8_t* b, Rows& out) {
  for (int i = 0; i < 32; ++i) out.codes.push_back(b[2 + i] ^ 128);
  return push_scale(out.scales, half_at(b));
}

// Two bits of each weight: 32 bytes hold 128 weights, four runs of 32.
void push_pairs(const std::uint8_t* bytes, Rows& out) {
  for (int part = 0; part < 2; ++part) {
    for (int shift = 0; shift < 8; shift += 2) {
      for (int i = 0; i < 32; ++i) out.codes.push_back((bytes[32 * part + i] >> shift) & 3);
    }
  }
}

bool unpack_q2_k(const std::uint8_t* b, Rows& out) {
  for (int i = 0; i < 16; ++i) {
    out.sub_scales.push_back(b[i] & 15);
    out.sub_minima.push_back(b[i] >> 4);
  }
  push_pairs(b + 16, out);
  const bool good = push_scale(out.scales, half_at(b + 80));
  return push_scale(out.minima, half_at(b + 82)) && good;
}

bool unpack_q3_k(const std::uint8_t* b, Rows& out) {
  push_pairs(b + 32, out);
  std::uint8_t* codes = out.codes.data() + out.codes.size() - 256;
  for (int i = 0; i < 256; ++i) {
    codes[i] = static_cast<std::uint8_t>(codes[i] | ((b[i % 32] >> (i / 32)) & 1) << 2);
  }
  // Scale j: four low bits in byte j % 8, low half for j < 8; two high bits in byte 8 + j % 4.
  const std::uint8_t* s = b + 96;
  for (int j = 0; j < 16; ++j) {
    const int low = j < 8 ? s[j] & 15 : s[j - 8] >> 4;
    const int high = (s[8 + j % 4] >> (2 * (j / 4))) & 3;
    out.sub_scales.push_back(static_cast<std::uint8_t>(low | high << 4));
  }
  return push_scale(out.scales, half_at(b + 108));
}

// Eight scales and eight minima of six bits in twelve bytes.
void push_six_bits(const std::uint8_t* s, Rows& out) {
  for (int j = 0; j < 8; ++j) {
    const bool first = j < 4;
    const int scale = first ? s[j] & 63 : (s[j + 4] & 15) | (s[j - 4] >> 6) << 4;
    const int minimum = first ? s[j + 4] & 63 : (s[j + 4] >> 4) | (s[j] >> 6) << 4;
    out.sub_scales.push_back(static_cast<std::uint8_t>(scale));
    out.sub_minima.push_back(static_cast<std::uint8_t>(minimum));
  }
}

bool unpack_q4_k(const std::uint8_t* b, Rows& out) {
  push_six_bits(b + 4, out);
  for (int part = 0; part < 4; ++part) push_halves(b + 16 + 32 * part, 32, out);
  const bool good = push_scale(out.scales, half_at(b));
  return push_scale(out.minima, half_at(b + 2)) && good;
}

bool unpack_q5_k(const std::uint8_t* b, Rows& out) {
  push_six_bits(b + 4, out);
  for (int part = 0; part < 4; ++part) push_halves(b + 48 + 32 * part, 32, out);
  std::uint8_t* codes = out.codes.data() + out.codes.size() - 256;
  for (int i = 0; i < 256; ++i) {
    codes[i] = static_cast<std::uint8_t>(codes[i] | ((b[16 + i % 32] >> (i / 32)) & 1) << 4);
  }
  const bool good = push_scale(out.scales, half_at(b));
  return push_scale(out.minima, half_at(b + 2)) && good;
}

bool unpack_q6_k(const std::uint8_t* b, Rows& out) {
  for (int part = 0; part < 2; ++part) {
    const std::uint8_t* low = b + 64 * part;
    const std::uint8_t* high = b + 128 + 32 * part;
    for (int run = 0; run < 4; ++run) {
      for (int i = 0; i < 32; ++i) {
        const int four = run < 2 ? low[32 * run + i] & 15 : low[32 * (run - 2) + i] >> 4;
        out.codes.push_back(static_cast<std::uint8_t>(four | ((high[i] >> (2 * run)) & 3) << 4));
      }
    }
  }
  for (int i = 0; i < 16; ++i) out.sub_scales.push_back(b[192 + i] ^ 128);
  return push_scale(out.scales, half_at(b + 208));
}

Encoding affine(int bits) {
  Encoding e;
  e.kind = EncodingKind::kAffine;
  e.bits = bits;
  e.group_size = 32;
  e.zero = ZeroKind::kConstant;
  e.constant_zero = 1 << (bits - 1);
  return e;
}

Encoding with_minima(Encoding e) {
  e.zero = ZeroKind::kMinima;
  e.constant_zero = 0;
  return e;
}

Encoding iq4_nl() {
  Encoding e = affine(4);
  e.kind = EncodingKind::kCodebook;
  e.table = quant::iq4_nl_levels();
  return e;
}

// A nibble is a sign and a magnitude; our codes ascend.
std::uint8_t ascending(int nibble) {
  return static_cast<std::uint8_t>(nibble < 8 ? 8 + nibble : 15 - nibble);
}

int sign_magnitude(int code) { return code < 8 ? 15 - code : code - 8; }

bool unpack_mxfp4(const std::uint8_t* b, Rows& out) {
  for (int i = 0; i < 16; ++i) out.codes.push_back(ascending(b[1 + i] & 15));
  for (int i = 0; i < 16; ++i) out.codes.push_back(ascending(b[1 + i] >> 4));
  out.scales.push_back(std::ldexp(1.0f, b[0] - 128));
  return b[0] != 255;
}

Encoding mxfp4() {
  Encoding e = affine(4);
  e.kind = EncodingKind::kCodebook;
  e.table = quant::e2m1_levels();
  e.scale_type = DType::kF8E8M0;
  return e;
}

void pack_mxfp4(const std::uint8_t* codes, float scale, std::uint8_t* block) {
  int power = 0;  // scale = 2^(power - 1)
  if (scale > 0) std::frexp(scale, &power);
  block[0] = static_cast<std::uint8_t>(scale > 0 ? power + 127 : 0);
  for (int i = 0; i < 16; ++i)
    block[1 + i] =
        static_cast<std::uint8_t>(sign_magnitude(codes[i]) | sign_magnitude(codes[i + 16]) << 4);
}

float e4m3(int byte) {
  const int power = byte >> 3 & 15, fraction = byte & 7;
  return power == 0 ? std::ldexp(static_cast<float>(fraction), -9)
                    : std::ldexp(static_cast<float>(8 + fraction), power - 10);
}

// The inverse for what it holds.
std::uint8_t e4m3_byte(float value) {
  int power = 0;
  const float fraction = std::frexp(value, &power);  // value = fraction 2^power
  if (!(value > 0)) return 0;
  if (power < -5) return static_cast<std::uint8_t>(std::ldexp(value, 9));
  return static_cast<std::uint8_t>((power + 6) << 3 | (static_cast<int>(fraction * 16) & 7));
}

// Our levels are twice E2M1's numbers.
bool unpack_nvfp4(const std::uint8_t* b, Rows& out) {
  bool good = true;
  for (int group = 0; group < 4; ++group) {
    const std::uint8_t* halves = b + 4 + 8 * group;
    for (int i = 0; i < 8; ++i) out.codes.push_back(ascending(halves[i] & 15));
    for (int i = 0; i < 8; ++i) out.codes.push_back(ascending(halves[i] >> 4));
    out.scales.push_back(e4m3(b[group]) / 2);
    good = good && (b[group] & 127) != 127;
  }
  return good;
}

Encoding nvfp4() {
  Encoding e = mxfp4();
  e.group_size = 16;
  e.scale_type = DType::kF8E4M3FN;
  e.scale_exponent = -1;
  return e;
}

void pack_nvfp4(const std::uint8_t* codes, const float* scales, std::uint8_t* block) {
  for (int group = 0; group < 4; ++group) {
    block[group] = e4m3_byte(scales[group] * 2);
    const std::uint8_t* all = codes + 16 * group;
    for (int i = 0; i < 8; ++i) {
      block[4 + 8 * group + i] =
          static_cast<std::uint8_t>(sign_magnitude(all[i]) | sign_magnitude(all[i + 8]) << 4);
    }
  }
}

bool unpack_tq1_0(const std::uint8_t* b, Rows& out) {
  const auto push_run = [&](const std::uint8_t* bytes, int count, int weights) {
    for (int n = 0, power = 1; n < weights; ++n, power *= 3) {
      for (int i = 0; i < count; ++i)
        out.codes.push_back(static_cast<std::uint8_t>((bytes[i] * power & 255) * 3 >> 8));
    }
  };
  push_run(b, 32, 5);
  push_run(b + 32, 16, 5);
  push_run(b + 48, 4, 4);
  return push_scale(out.scales, half_at(b + 52));
}

bool unpack_tq2_0(const std::uint8_t* b, Rows& out) {
  for (int half = 0; half < 2; ++half) {
    for (int plane = 0; plane < 4; ++plane) {
      for (int i = 0; i < 32; ++i) out.codes.push_back(b[32 * half + i] >> (2 * plane) & 3);
    }
  }
  return push_scale(out.scales, half_at(b + 64));
}

void pack_tq2_0(const std::uint8_t* codes, float scale, std::uint8_t* block) {
  std::fill_n(block, 64, std::uint8_t{0});
  for (int i = 0; i < 256; ++i) {
    std::uint8_t& byte = block[i / 128 * 32 + i % 32];
    byte = static_cast<std::uint8_t>(byte | codes[i] << (i / 32 % 4 * 2));
  }
  const std::uint16_t d = float_to_half(scale);
  std::memcpy(block + 64, &d, 2);
}

Encoding tq2_0() {
  Encoding e = affine(2);
  e.kind = EncodingKind::kCodebook;
  e.group_size = 256;
  e.table = {-1, 0, 1, 2};
  return e;
}

struct SubScales {
  int bits;
  int zero = 0;
};

Encoding super_block(int bits, int group, SubScales sub) {
  Encoding e = affine(bits);
  e.kind = EncodingKind::kSuperBlock;
  e.group_size = group;
  e.super_size = 256;
  e.sub_bits = sub.bits;
  e.sub_scale_zero = sub.zero;
  return e;
}

constexpr DType kNone = DType::kUndefined;
constexpr BlockType kTypes[] = {
    {0, "F32", 1, 4, DType::kF32},
    {1, "F16", 1, 2, DType::kF16},
    {30, "BF16", 1, 2, DType::kBF16},
    {28, "F64", 1, 8, DType::kF64},
    {2, "Q4_0", 32, 18, kNone, unpack_q4_0, [] { return affine(4); }},
    {3, "Q4_1", 32, 20, kNone, unpack_q4_1, [] { return with_minima(affine(4)); }},
    {6, "Q5_0", 32, 22, kNone, unpack_q5_0, [] { return affine(5); }},
    {7, "Q5_1", 32, 24, kNone, unpack_q5_1, [] { return with_minima(affine(5)); }},
    {8, "Q8_0", 32, 34, kNone, unpack_q8_0, [] { return affine(8); }},
    {20, "IQ4_NL", 32, 18, kNone, unpack_q4_0, iq4_nl},
    {39, "MXFP4", 32, 17, kNone, unpack_mxfp4, mxfp4},
    {40, "NVFP4", 64, 36, kNone, unpack_nvfp4, nvfp4, true},
    {35, "TQ2_0", 256, 66, kNone, unpack_tq2_0, tq2_0},
    {34, "TQ1_0", 256, 54, kNone, unpack_tq1_0, tq2_0},
    {10, "Q2_K", 256, 84, kNone, unpack_q2_k, [] { return with_minima(super_block(2, 16, {4})); }},
    {11, "Q3_K", 256, 110, kNone, unpack_q3_k,
     [] {
       return super_block(3, 16, {6, 32});
     }},
    {12, "Q4_K", 256, 144, kNone, unpack_q4_k, [] { return with_minima(super_block(4, 32, {6})); }},
    {13, "Q5_K", 256, 176, kNone, unpack_q5_k, [] { return with_minima(super_block(5, 32, {6})); }},
    {14, "Q6_K", 256, 210, kNone, unpack_q6_k,
     [] {
       return super_block(6, 16, {8, 128});
     }},
};

// Names of numbers that we know of and cannot read, for the error.
std::string_view foreign_name(std::uint32_t id) {
  switch (id) {
    case 9:
      return "Q8_1";
    case 15:
      return "Q8_K";
    case 16:
      return "IQ2_XXS";
    case 17:
      return "IQ2_XS";
    case 18:
      return "IQ3_XXS";
    case 19:
      return "IQ1_S";
    case 21:
      return "IQ3_S";
    case 22:
      return "IQ2_S";
    case 23:
      return "IQ4_XS";
    case 24:
      return "I8";
    case 25:
      return "I16";
    case 26:
      return "I32";
    case 27:
      return "I64";
    case 29:
      return "IQ1_M";
    default:
      return "";
  }
}

}  // namespace

std::span<const BlockType> block_types() { return kTypes; }

Expected<const BlockType*> find_block_type(std::uint32_t id) {
  std::string known;
  for (const BlockType& type : kTypes) {
    if (type.id == id) return &type;
    known += (known.empty() ? "" : ", ") + std::string(type.name);
  }
  const std::string name(foreign_name(id));
  return unsupported("tensor type " + (name.empty() ? std::to_string(id) : name) +
                     " is not supported; types are " + known);
}

void pack(const BlockType& type, const std::uint8_t* codes, const float* scales, float minimum,
          std::uint8_t* block) {
  if (type.unpack == unpack_mxfp4) return pack_mxfp4(codes, scales[0], block);
  if (type.unpack == unpack_nvfp4) return pack_nvfp4(codes, scales, block);
  if (type.unpack == unpack_tq2_0) return pack_tq2_0(codes, scales[0], block);
  const Encoding encoding = type.encoding();
  const std::uint16_t d = float_to_half(scales[0]), m = float_to_half(minimum);
  std::memcpy(block, &d, 2);
  block += 2;
  if (encoding.zero == ZeroKind::kMinima) {
    std::memcpy(block, &m, 2);
    block += 2;
  }
  if (encoding.bits == 8) {
    for (int i = 0; i < 32; ++i) block[i] = codes[i] ^ 128;
    return;
  }
  if (encoding.bits == 5) {
    std::uint32_t fifth = 0;
    for (int i = 0; i < 32; ++i) fifth |= static_cast<std::uint32_t>(codes[i] >> 4) << i;
    std::memcpy(block, &fifth, 4);
    block += 4;
  }
  for (int i = 0; i < 16; ++i) {
    block[i] = static_cast<std::uint8_t>((codes[i] & 15) | (codes[i + 16] & 15) << 4);
  }
}

}  // namespace thimble::formats::gguf

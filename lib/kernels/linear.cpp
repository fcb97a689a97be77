#include "kernels/linear.h"

#include <cmath>
#include <cstring>

#include "support/checked.h"
#include "support/half.h"

namespace thimble::kernels {

extern const LinearKernels kLinearScalar;
#if defined(__x86_64__)
extern const LinearKernels kLinearAvx2;
extern const LinearKernels kLinearAvx512Vnni;
void grouped_int8_amx(const GroupedWeight& w, const Int8Rows& x, std::int64_t tile_begin,
                      std::int64_t tile_end, float* y, std::int64_t y_stride, void* scratch);
#elif defined(__aarch64__)
extern const LinearKernels kLinearNeon;
extern const LinearKernels kLinearNeonDotprod;
#endif

namespace {

constexpr std::size_t kAlignment = 64;

std::int64_t blocks_of(std::int64_t inputs) { return ceil_div<std::int64_t>(inputs, kBlock); }

// Where input k of row r lies in the 8-bit view of a block.
int byte_of(int row, int input) { return (input / 4) * 64 + 4 * row + input % 4; }

// Calls visit(byte index in the 8-bit view, packed byte, shift within it, plane bits, shift of the
// plane's bits in the code) for each piece of bytes [first, last) of a block's quads: the one
// description of the planes that packing and unpacking share.
template <class Visit>
void each_plane_bit(int bits, int first, int last, Visit visit) {
  if (bits == 8) {
    for (int quad = 0; quad < 8; ++quad) {
      for (int i = first; i < last; ++i) visit(quad * 64 + i, quad * 64 + i, 0, 8, 0);
    }
    return;
  }
  int base = 0, low = 0;
  for (int plane = 4; plane >= 1; plane /= 2) {
    if ((bits & plane) == 0) continue;
    for (int quad = 0; quad < 8; ++quad) {
      for (int i = first; i < last; ++i)
        visit(quad * 64 + i, base + (quad % plane) * 64 + i, quad / plane * plane, plane, low);
    }
    base += plane * 64;
    low += plane;
  }
}

// As the vector kernels compute it: the fraction times a power of two.
float e4m3_value(std::uint8_t byte, int exponent) {
  const int power = byte >> 3 & 15, fraction = byte & 7;
  const auto whole = static_cast<float>(power == 0 ? fraction : fraction + 8);
  const int shift = (power == 0 ? 1 : power) - 10 + exponent;
  return whole * std::bit_cast<float>(static_cast<std::uint32_t>(shift + 127) << 23);
}

float scale_at(const void* base, FloatType type, std::int64_t at, int exponent) {
  const auto* bytes = static_cast<const std::uint8_t*>(base);
  switch (type) {
    case FloatType::kE8M0:
      return std::bit_cast<float>(static_cast<std::uint32_t>(bytes[at]) << 23);
    case FloatType::kE4M3:
      return e4m3_value(bytes[at], exponent);
    case FloatType::kF16:
      return half_to_float(static_cast<const std::uint16_t*>(base)[at]);
    case FloatType::kBF16:
      return bfloat_to_float(static_cast<const std::uint16_t*>(base)[at]);
    case FloatType::kF32:
      return static_cast<const float*>(base)[at];
  }
  return 0;
}

struct RowsLayout {
  std::size_t data, scales, sums, total;
};

RowsLayout layout_of(std::int64_t rows, std::int64_t inputs, int planes) {
  const auto cells = static_cast<std::size_t>(rows * blocks_of(inputs));
  const auto p = static_cast<std::size_t>(planes);
  RowsLayout layout;
  layout.data = 0;
  layout.scales = round_up(cells * kBlock * p, kAlignment);
  layout.sums = layout.scales + round_up(cells * sizeof(float), kAlignment);
  layout.total = layout.sums + round_up(2 * cells * p * sizeof(std::int32_t), kAlignment);
  return layout;
}

}  // namespace

std::size_t int8_rows_bytes(std::int64_t rows, std::int64_t inputs, int planes) {
  return layout_of(rows, inputs, planes).total;
}

Int8Rows int8_rows_over(void* scratch, std::int64_t rows, std::int64_t inputs, int planes) {
  const RowsLayout layout = layout_of(rows, inputs, planes);
  auto* base = static_cast<std::byte*>(scratch);
  return {rows,
          inputs,
          planes,
          reinterpret_cast<std::int8_t*>(base),
          reinterpret_cast<float*>(base + layout.scales),
          reinterpret_cast<std::int32_t*>(base + layout.sums)};
}

std::size_t linear_scratch_bytes(std::int64_t rows, std::int64_t inputs) {
  // Beside the panel, two terms per plane, half block and row: of all blocks for one row, of a
  // panel's for more.
  const std::int64_t one = blocks_of(inputs), more = rows > 1 ? rows * kPanelBlocks : 0;
  const auto cells = static_cast<std::size_t>(one > more ? one : more);
  return kPanelBytes + round_up(cells * 2 * 2 * 2 * sizeof(std::int32_t), kAlignment);
}

std::span<const LinearKernels* const> linear_variants() {
#if defined(__x86_64__)
  static const LinearKernels kLinearAmx = [] {
    LinearKernels kernels = kLinearAvx512Vnni;
    kernels.isa = Isa::kAvx512Amx;
    kernels.grouped_int8 = grouped_int8_amx;
    return kernels;
  }();
#endif
  static const LinearKernels* const kVariants[] = {
    &kLinearScalar,
#if defined(__x86_64__)
    &kLinearAvx2,
    &kLinearAvx512Vnni,
    &kLinearAmx,
#elif defined(__aarch64__)
    &kLinearNeon,
    &kLinearNeonDotprod,
#endif
  };
  return kVariants;
}

const LinearKernels& linear_kernels(Isa isa) { return best_variant(linear_variants(), isa); }

// The sub-scale or sub-minimum of a tile's group and row.
static int sub_at(const GroupedWeight& w, const std::uint8_t* subs, std::int64_t tile,
                  std::int64_t group, int row) {
  const std::uint8_t* base = subs + tile * w.sub_vectors() * kTileRows + row;
  if (w.sub_bits == 8) return base[group * kTileRows];
  const int low = base[group / 2 * kTileRows] >> (group % 2 * 4) & 15;
  if (w.sub_bits == 4) return low;
  const std::int64_t high = (w.groups() + 1) / 2 + group / 4;
  return low | (base[high * kTileRows] >> (group % 4 * 2) & 3) << 4;
}

struct GroupValues {
  float scale = 0, minimum = 0;
};

// As the vector kernels compute them.
static GroupValues group_values(const GroupedWeight& w, std::int64_t tile, std::int64_t group,
                                int row) {
  const bool minima = w.zero == ZeroKind::kMinima;
  if (w.super_size == 0) {
    const std::int64_t at = (tile * w.groups() + group) * kTileRows + row;
    return {scale_at(w.scales, w.scale_type, at, w.scale_exponent),
            minima ? scale_at(w.zeros, w.scale_type, at, 0) : 0.0f};
  }
  const std::int64_t super = w.super_size >= w.inputs ? 0 : group * w.group_size / w.super_size;
  const std::int64_t at = (tile * w.supers() + super) * kTileRows + row;
  const auto sub = static_cast<float>(sub_at(w, w.sub_scales, tile, group, row) - w.sub_zero);
  GroupValues values{scale_at(w.scales, w.scale_type, at, 0) * sub, 0};
  if (minima) {
    values.minimum = -scale_at(w.zeros, w.scale_type, at, 0) *
                     static_cast<float>(sub_at(w, w.sub_minima, tile, group, row));
  }
  return values;
}

void decode_grouped_row(const GroupedWeight& w, std::int64_t row, float* out) {
  const std::int64_t tile = row / kTileRows, groups = w.groups(), blocks = w.blocks();
  const int r = static_cast<int>(row % kTileRows);
  std::uint8_t codes[kBlock];
  GroupValues values;
  std::int64_t group = -1;
  for (std::int64_t block = 0; block < blocks; ++block) {
    const std::uint8_t* packed = w.codes + (tile * blocks + block) * 64 * w.bits;
    for (std::uint8_t& code : codes) code = 0;
    const auto add = [&](int byte, int at, int shift, int plane, int low) {
      const int input = byte / 64 * 4 + byte % 4;
      codes[input] = static_cast<std::uint8_t>(codes[input] |
                                               ((packed[at] >> shift) & ((1 << plane) - 1)) << low);
    };
    each_plane_bit(w.bits, 4 * r, 4 * r + 4, add);
    for (int k = 0; k < kBlock && block * kBlock + k < w.inputs; ++k) {
      const std::int64_t input = block * kBlock + k;
      if (k % 16 == 0) {  // groups begin at multiples of 16
        const std::int64_t next = groups == 1 ? 0 : input / w.group_size;
        if (next != group) values = group_values(w, tile, group = next, r);
      }
      int code = codes[k];
      if (w.table != nullptr)
        code = w.table[code];
      else if (w.zero == ZeroKind::kConstant)
        code -= w.constant_zero;
      else if (w.zero == ZeroKind::kPoints)
        code -= static_cast<const std::uint8_t*>(w.zeros)[(tile * groups + group) * kTileRows + r];
      const auto value = static_cast<float>(code);
      out[input] = w.zero == ZeroKind::kMinima ? std::fma(values.scale, value, values.minimum)
                                               : values.scale * value;
    }
  }
}

void pack_sub_scales(const std::uint8_t* subs, std::int64_t groups, int sub_bits,
                     std::uint8_t* out) {
  const std::int64_t nibbles = (groups + 1) / 2;
  std::memset(out, 0, static_cast<std::size_t>(sub_vectors(groups, sub_bits) * kTileRows));
  for (int row = 0; row < kTileRows; ++row) {
    for (std::int64_t g = 0; g < groups; ++g) {
      const int sub = subs[row * groups + g];
      const auto add = [&](std::int64_t vector, int bits) {
        std::uint8_t& byte = out[vector * kTileRows + row];
        byte = static_cast<std::uint8_t>(byte | bits);
      };
      if (sub_bits == 8) {
        add(g, sub);
        continue;
      }
      add(g / 2, (sub & 15) << (g % 2 * 4));
      if (sub_bits == 6) add(nibbles + g / 4, (sub >> 4 & 3) << (g % 4 * 2));
    }
  }
}

// One plane of `bits` bits, bits [low, low + bits) of the codes: byte b of vector v takes those of
// byte b of quads v, v + bits, v + 2 bits, ... Eight bytes at a time: masked, none reaches the
// next.
static void pack_plane(const std::uint8_t* view, int low, int bits, std::uint8_t* out) {
  const std::uint64_t mask = ((1u << bits) - 1) * 0x0101010101010101ull;
  for (int at = 0; at < 64 * bits; at += 8) {
    std::uint64_t packed = 0;
    for (int i = 0; i < 8 / bits; ++i) {
      std::uint64_t codes;
      std::memcpy(&codes, view + at + 64 * bits * i, 8);
      packed |= (codes >> low & mask) << bits * i;
    }
    std::memcpy(out + at, &packed, 8);
  }
}

void pack_tile(const std::uint8_t* codes, std::int64_t inputs, int bits, std::uint8_t* out) {
  const std::int64_t blocks = blocks_of(inputs);
  for (std::int64_t block = 0; block < blocks; ++block) {
    std::uint8_t view[512];
    const std::int64_t count = inputs - block * kBlock;
    for (int row = 0; row < kTileRows; ++row) {
      std::uint8_t inner[kBlock] = {};
      const std::uint8_t* from = codes + row * inputs + block * kBlock;
      std::memcpy(inner, from, static_cast<std::size_t>(count < kBlock ? count : kBlock));
      for (int quad = 0; quad < 8; ++quad)
        std::memcpy(view + 64 * quad + 4 * row, inner + 4 * quad, 4);
    }
    std::uint8_t* packed = out + block * 64 * bits;
    if (bits == 8) std::memcpy(packed, view, sizeof view);
    for (int plane = 4, low = 0; plane > 0 && bits < 8; plane /= 2) {
      if ((bits & plane) == 0) continue;
      pack_plane(view, low, plane, packed + 64 * low);
      low += plane;
    }
  }
}

void unpack_tile(const std::uint8_t* tile, std::int64_t inputs, int bits, std::uint8_t* codes) {
  for (std::int64_t block = 0; block < blocks_of(inputs); ++block) {
    std::uint8_t view[512] = {};
    const std::uint8_t* packed = tile + block * 64 * bits;
    each_plane_bit(bits, 0, 64, [&](int byte, int at, int shift, int plane, int low) {
      view[byte] = static_cast<std::uint8_t>(view[byte] |
                                             ((packed[at] >> shift) & ((1 << plane) - 1)) << low);
    });
    for (int row = 0; row < kTileRows; ++row) {
      for (int k = 0; k < kBlock && block * kBlock + k < inputs; ++k)
        codes[row * inputs + block * kBlock + k] = view[byte_of(row, k)];
    }
  }
}

}  // namespace thimble::kernels

// AMX: products of int8 rows with weights in tiles, a block of 32 inputs of 16 rows and 16 outputs
// at a time. What a block's 512 codes are in 8 bits is the operand of the matrix unit as it lies.
// Everything else, and weights of rarer kinds, is AVX-512's.

#include <cstdint>
#include <immintrin.h>

#include "kernels/force_inline.h"
#include "kernels/linear.h"

namespace thimble::kernels {

extern const LinearKernels kLinearAvx512Vnni;

namespace {

#include "kernels/lanes_avx512.h"

constexpr int kMatrixRows = 16;
constexpr int kLeastRows = 4;  // fewer are faster without
constexpr int kInFlight = 4;   // blocks whose sums are on their way at once

// What the rows share of a tile's blocks.
struct Panel {
  alignas(64) std::uint8_t codes[kPanelBlocks][512];  // of fewer than 8 bits, unpacked
  float scales[kPanelBlocks][kTileRows];
  std::int32_t sums[kInFlight][kMatrixRows][kTileRows];
};
static_assert(sizeof(Panel) <= kPanelBytes);

// Registers 0 to 3 hold sums, 4 and 5 rows of x, 6 and 7 blocks of the weight.
struct alignas(64) Shapes {
  std::uint8_t palette = 1, start = 0, reserved[14] = {};
  std::uint16_t bytes[16] = {};
  std::uint8_t rows[16] = {};

  explicit Shapes(int count) {
    for (int i = 0; i < 8; ++i) {
      bytes[i] = i == 4 || i == 5 ? kBlock : 64;
      rows[i] = static_cast<std::uint8_t>(i >= 6 ? kBlock / 4 : count);
    }
  }
};

Lanes scales_at(const GroupedWeight& w, std::int64_t tile, std::int64_t block) {
  const std::int64_t group = w.groups() == 1 ? 0 : block * kBlock / w.group_size;
  const std::int64_t at = (tile * w.groups() + group) * kTileRows;
  if (w.scale_type == FloatType::kF16)
    return load_f16(static_cast<const std::uint16_t*>(w.scales) + at);
  if (w.scale_type == FloatType::kBF16)
    return load_bf16(static_cast<const std::uint16_t*>(w.scales) + at);
  return load(static_cast<const float*>(w.scales) + at);
}

void unpack_nibbles(const std::uint8_t* packed, std::uint8_t* codes) {
  const __m512i mask = _mm512_set1_epi8(15);
  for (int v = 0; v < 4; ++v) {
    const __m512i both = _mm512_loadu_si512(packed + 64 * v);
    _mm512_storeu_si512(codes + 64 * v, _mm512_and_si512(both, mask));
    _mm512_storeu_si512(codes + 64 * (v + 4), _mm512_and_si512(_mm512_srli_epi16(both, 4), mask));
  }
}

const std::uint8_t* prepare_panel(const GroupedWeight& w, std::int64_t tile, std::int64_t begin,
                                  std::int64_t end, Panel& panel) {
  const std::uint8_t* codes = w.codes + (tile * w.blocks() + begin) * 64 * w.bits;
  for (std::int64_t i = 0; i < end - begin; ++i) {
    store(panel.scales[i], scales_at(w, tile, begin + i));
    if (w.bits == 4) unpack_nibbles(codes + i * 256, panel.codes[i]);
  }
  // GCC 12 isn't told that loading a register of the matrix unit reads memory.
  __asm__ volatile("" : : "r"(&panel) : "memory");
  return w.bits == 4 ? panel.codes[0] : codes;
}

// The sums of block `i`. An instruction names its registers, so a loop cannot count them.
#define THIMBLE_MULTIPLY_BLOCK(i, x_register, codes_register) \
  _tile_zero(i);                                              \
  _tile_loadd(x_register, x + i * block_bytes, kBlock);       \
  _tile_loadd(codes_register, codes + i * 512, 64);           \
  _tile_dpbsud(i, x_register, codes_register);                \
  _tile_stored(i, panel.sums[i], 64)

// Sums of `count` blocks, one after the other.
THIMBLE_FORCE_INLINE void multiply_blocks(const std::int8_t* x, std::int64_t block_bytes,
                                          const std::uint8_t* codes, int count, Panel& panel) {
  THIMBLE_MULTIPLY_BLOCK(0, 4, 6);
  if (count < 2) return;
  THIMBLE_MULTIPLY_BLOCK(1, 5, 7);
  if (count < 3) return;
  THIMBLE_MULTIPLY_BLOCK(2, 4, 6);
  if (count < 4) return;
  THIMBLE_MULTIPLY_BLOCK(3, 5, 7);
}

#undef THIMBLE_MULTIPLY_BLOCK

struct Blocks {
  std::int64_t begin, end;
  const std::int32_t* start;  // [blocks][rows]: -zero * sum of q
};

struct Outputs {
  float* y;
  std::int64_t stride;
  int valid;  // of 16
};

// A panel times rows [token, token + n), n = 16 where WHOLE.
template <bool WHOLE>
void add_rows(const Int8Rows& x, const Blocks& blocks, const std::uint8_t* codes,
              std::int64_t token, int rest, const Outputs& out, Panel& panel) {
  const int n = WHOLE ? kMatrixRows : rest;
  float* y = out.y + token * out.stride;
  Lanes sum[kMatrixRows];
  for (int t = 0; t < n; ++t)
    sum[t] = blocks.begin == 0 ? set1(0.0f) : load_part(y + t * out.stride, out.valid);
  for (std::int64_t block = blocks.begin; block < blocks.end; block += kInFlight) {
    const std::int64_t left = blocks.end - block;
    const int count = left < kInFlight ? static_cast<int>(left) : kInFlight;
    multiply_blocks(x.data + (block * x.rows + token) * kBlock, x.rows * kBlock,
                    codes + (block - blocks.begin) * 512, count, panel);
    for (int i = 0; i < count; ++i) {
      const std::int64_t at = (block - blocks.begin + i) * x.rows + token;
      const std::int32_t* start = blocks.start + at;
      const float* scales = x.scales + blocks.begin * x.rows + at;
      const Lanes scale = load(panel.scales[block - blocks.begin + i]);
      for (int t = 0; t < n; ++t) {
        const __m512i all =
            _mm512_add_epi32(_mm512_load_si512(panel.sums[i][t]), _mm512_set1_epi32(start[t]));
        sum[t] = fma({_mm512_cvtepi32_ps(all)}, mul(scale, set1(scales[t])), sum[t]);
      }
    }
  }
  for (int t = 0; t < n; ++t) store_part(y + t * out.stride, sum[t], out.valid);
}

void prepare_starts(const GroupedWeight& w, const Int8Rows& x, std::int64_t begin, std::int64_t end,
                    std::int32_t* start) {
  for (std::int64_t block = begin; block < end; ++block) {
    const std::int32_t* low = x.sums + block * 2 * x.rows;
    for (std::int64_t m = 0; m < x.rows; ++m)
      *start++ = -w.constant_zero * (low[m] + low[x.rows + m]);
  }
}

// All rows of x with blocks [begin, end) of all tiles.
void multiply_panels(const GroupedWeight& w, const Int8Rows& x, const Blocks& blocks,
                     std::int64_t tile_begin, std::int64_t tile_end, float* y,
                     std::int64_t y_stride, Panel& panel) {
  const auto rest = static_cast<int>(x.rows % kMatrixRows);
  const Shapes whole(kMatrixRows), last(rest);
  for (std::int64_t tile = tile_begin; tile < tile_end; ++tile) {
    const std::uint8_t* codes = prepare_panel(w, tile, blocks.begin, blocks.end, panel);
    const std::int64_t left = w.rows - tile * kTileRows;
    const Outputs out{y + tile * kTileRows, y_stride,
                      static_cast<int>(left < kTileRows ? left : kTileRows)};
    std::int64_t m = 0;
    if (m + kMatrixRows <= x.rows && (rest > 0 || tile == tile_begin)) _tile_loadconfig(&whole);
    for (; m + kMatrixRows <= x.rows; m += kMatrixRows)
      add_rows<true>(x, blocks, codes, m, kMatrixRows, out, panel);
    if (rest == 0) continue;
    _tile_loadconfig(&last);
    add_rows<false>(x, blocks, codes, m, rest, out, panel);
  }
}

bool takes(const GroupedWeight& w, const Int8Rows& x) {
  const bool floats = w.scale_type == FloatType::kF32 || w.scale_type == FloatType::kF16 ||
                      w.scale_type == FloatType::kBF16;
  return x.rows >= kLeastRows && x.planes == 1 && !sums_whole_rows(w, x) &&
         (w.bits == 8 || w.bits == 4) && floats && w.group_size != 16 && w.super_size == 0 &&
         w.table == nullptr && w.zero == ZeroKind::kConstant;
}

}  // namespace

// LinearKernels::grouped_int8; the other kernels are AVX-512's (linear.cpp).
void grouped_int8_amx(const GroupedWeight& w, const Int8Rows& x, std::int64_t tile_begin,
                      std::int64_t tile_end, float* y, std::int64_t y_stride, void* scratch);
void grouped_int8_amx(const GroupedWeight& w, const Int8Rows& x, std::int64_t tile_begin,
                      std::int64_t tile_end, float* y, std::int64_t y_stride, void* scratch) {
  if (!takes(w, x)) {
    kLinearAvx512Vnni.grouped_int8(w, x, tile_begin, tile_end, y, y_stride, scratch);
    return;
  }
  Panel& panel = *static_cast<Panel*>(scratch);
  auto* start = reinterpret_cast<std::int32_t*>(static_cast<char*>(scratch) + kPanelBytes);
  for (std::int64_t begin = 0; begin < w.blocks(); begin += kPanelBlocks) {
    const std::int64_t end = begin + kPanelBlocks < w.blocks() ? begin + kPanelBlocks : w.blocks();
    prepare_starts(w, x, begin, end, start);
    multiply_panels(w, x, {begin, end, start}, tile_begin, tile_end, y, y_stride, panel);
  }
  _tile_release();
}

}  // namespace thimble::kernels

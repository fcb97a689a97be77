#pragma once
// y = x W^T: the kernels that weights pass through. Every variant gives the same bits, and a row's
// result does not depend on how many rows are computed with it, so prefill, decode and verification
// agree.
//
// Tile layout of grouped weights (2..8 bits), stored so in a .thimble file and executed in place
// (docs/FORMAT.md). W is [N, K], N output rows, K inputs:
//   - rows are cut into tiles of 16, K into blocks of 32; both are padded (codes 0, scale 0).
//   - a (tile, block) holds 32 codes of 16 rows in 64 * bits bytes. Seen as bytes, one per code, it
//   is 8
//     vectors ("quads") of 64: byte 4 r + j of quad q is row r, input 4 q + j. 8-bit codes are
//     stored so. Fewer bits are cut into planes, lowest bits of the code first: a plane of 4, then
//     of 2, then of 1, those that add up to `bits` (7 = 4 + 2 + 1, 5 = 4 + 1, 3 = 2 + 1). A plane
//     of p bits takes p vectors of 64 bytes: bits [p i, p i + p) of byte b of its vector v are the
//     plane's bits of byte b of quad v + i p (so the low nibbles of the 4 vectors of a 4-bit plane
//     are quads 0..3, the high ones 4..7).
//   - tile t's codes are contiguous: block 0, 1, ..., so the stream is [tiles][blocks][64 * bits].
//   - scales: [tiles][groups][16] in f16, bf16 or f32, where group g covers inputs g * group_size
//   and up;
//     zero points, where there are any: u8 codes in the same order; minima: in the scales' type.
//   - super-blocks: scales and minima are [tiles][supers][16], of super_size inputs each, and a
//   group's is the super-block's times (sub-scale - sub_zero), or less the super-block's times
//   its sub-minimum. Sub-scales are one vector of 16 bytes per group, [tiles][groups][16]; those of
//   4 bits share a vector in twos, the group with the lower number in the low nibble; those of 6
//   bits are their low 4 bits so and then, 4 groups to a vector, their high 2.
// A weight is  scale * (code - zero)  where zero is a constant of the whole tensor (2^(bits-1) for
// symmetric codes) or a zero point per group, or  scale * code + minimum, or  scale * table[code].
//
// Streams start 64-byte aligned.

#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/isa.h"

namespace thimble::kernels {

inline constexpr int kTileRows = 16;
inline constexpr std::size_t kTableEntries = 16;
inline constexpr int kBlock = 32;  // inputs per block of codes and per activation scale

// Blocks of a tile that a kernel keeps unpacked in its scratch while the rows of activations pass.
inline constexpr int kPanelBlocks = 16;
inline constexpr int kPanelBytes = 16384;

// Those of 8 bits, for scales alone: kE8M0, 2^(b - 127), and 0 for b = 0; kE4M3, the OCP's float of
// 3 bits of fraction without its sign, times GroupedWeight's 2^scale_exponent.
enum class FloatType : std::uint8_t { kF32, kF16, kBF16, kE8M0, kE4M3 };

constexpr int bytes_of(FloatType type) {
  if (type == FloatType::kF32) return 4;
  return type == FloatType::kE8M0 || type == FloatType::kE4M3 ? 1 : 2;
}

enum class ZeroKind : std::uint8_t { kConstant, kPoints, kMinima };

// Vectors of 16 bytes that the sub-scales of a tile of so many groups take.
constexpr std::int64_t sub_vectors(std::int64_t groups, int sub_bits) {
  if (sub_bits == 8) return groups;
  return (groups + 1) / 2 + (sub_bits == 6 ? (groups + 3) / 4 : 0);
}

struct GroupedWeight {
  std::int64_t rows = 0;         // N, > 0
  std::int64_t inputs = 0;       // K, > 0
  int bits = 4;                  // 2..8
  std::int64_t group_size = 32;  // 16 or a multiple of 32; >= K means one group per row
  FloatType scale_type = FloatType::kF16;
  ZeroKind zero = ZeroKind::kConstant;
  int constant_zero = 8;
  const std::uint8_t* codes = nullptr;
  const void* scales = nullptr;
  const void* zeros = nullptr;  // points or minima; null for a constant
  std::int64_t super_size = 0;  // whole groups; >= K: one super-block per row; 0: none
  int sub_bits = 0;             // 4, 6 or 8
  int sub_zero = 0;
  const std::uint8_t* sub_scales = nullptr;
  const std::uint8_t* sub_minima = nullptr;
  // What codes of up to 4 bits stand for: kTableEntries, of which those past 2^bits count for
  // nothing, as does the constant zero. Null: themselves.
  const std::int8_t* table = nullptr;
  int scale_exponent = 0;  // of scales of kE4M3

  std::int64_t tiles() const { return (rows + kTileRows - 1) / kTileRows; }
  std::int64_t blocks() const { return (inputs + kBlock - 1) / kBlock; }
  std::int64_t groups() const {
    return group_size >= inputs ? 1 : (inputs + group_size - 1) / group_size;
  }
  std::int64_t supers() const {
    return super_size >= inputs ? 1 : (inputs + super_size - 1) / super_size;
  }
  std::int64_t sub_vectors() const { return kernels::sub_vectors(groups(), sub_bits); }
};

// Row-major [N, K] floats, used as they lie in the source file.
struct DenseWeight {
  std::int64_t rows = 0;
  std::int64_t inputs = 0;
  FloatType type = FloatType::kF32;
  const void* data = nullptr;
};

// Rows of activations as int8 with a scale per 32 inputs: x = scale * q, q in -127..127, q = round
// to even of x * (127 / absmax), scale = absmax / 127 of the block. `planes` 2 adds a second int8
// plane, the remainder x - scale * q in steps of scale * (1 / 254), which makes about 16-bit
// activations at twice the arithmetic. A block whose absmax is below 2^-100 counts as zero; one
// that holds an infinity or NaN has scale NaN, and with it every output of the row is NaN. Views
// into scratch of the caller; the order is the kernels' own: blocks outside rows, so that the rows
// that a kernel takes together lie together. Of rows with `one_scale`, which have one plane, all
// blocks have the scale of the row's absmax, or one that was known beforehand.
struct Int8Rows {
  std::int64_t rows = 0;
  std::int64_t inputs = 0;  // K; data is padded with zeros to blocks() * 32
  int planes = 1;
  std::int8_t* data = nullptr;   // [planes][blocks][rows][32]
  float* scales = nullptr;       // [blocks][rows]
  std::int32_t* sums = nullptr;  // [planes][blocks][2][rows]: sums of q over each 16 inputs
  bool one_scale = false;        // set by whoever fills the rows, before it does
  std::int64_t blocks() const { return (inputs + kBlock - 1) / kBlock; }
};

// Bytes of scratch that an Int8Rows of this shape needs, and the view over such scratch (64-byte
// aligned).
std::size_t int8_rows_bytes(std::int64_t rows, std::int64_t inputs, int planes);
Int8Rows int8_rows_over(void* scratch, std::int64_t rows, std::int64_t inputs, int planes);

// Whether a product is summed over whole rows: scales on both sides allow it, and i32 holds the
// sums of 255 * 127 an input and of the zeros beside them.
constexpr bool sums_whole_rows(const GroupedWeight& w, const Int8Rows& x) {
  constexpr std::int64_t kMostInputs = 32768;
  return x.one_scale && w.bits == 8 && w.groups() == 1 && w.super_size == 0 &&
         w.zero == ZeroKind::kConstant && w.inputs <= kMostInputs;
}

struct LinearKernels {
  Isa isa;
  // Quantizes rows [begin, end) of x [rows, K] (row stride in floats) into `out`.
  void (*quantize_rows)(const float* x, std::int64_t stride, std::int64_t begin, std::int64_t end,
                        const Int8Rows& out);
  // The same with one scale for all rows, known beforehand, and a zero: x = scale * (q - zero). q
  // is cut off at -127 and 127; q of padding is 0. `zero` is not subtracted from the codes: whoever
  // multiplies them adds -scale * zero * (sum of the weight's row) to each output. One plane.
  void (*quantize_rows_at)(const float* x, std::int64_t stride, std::int64_t begin,
                           std::int64_t end, float scale, std::int32_t zero, const Int8Rows& out);
  // y[m, n] for all rows m of x and the outputs of tiles [tile_begin, tile_end). y is [rows,
  // y_stride]. Integer products are exact; per block of 32 (16 where group_size is 16), in index
  // order of K:
  //   y = fma(float(sum_k code * q - zero * sum_k q), scale_w * scale_x, y)
  // and with minima additionally y = fma(min, scale_x * float(sum_k q), y). Of two planes, the
  // first comes first and the second takes scale_x * (1.0f / 254) for scale_x. Where
  // sums_whole_rows,
  //   y = float(sum of all (code - zero) * q) * (scale_w * scale_x)
  void (*grouped_int8)(const GroupedWeight& w, const Int8Rows& x, std::int64_t tile_begin,
                       std::int64_t tile_end, float* y, std::int64_t y_stride, void* scratch);
  // The same weights decoded to f32 (w = scale * float(code - zero), or fma(scale, code, min)) and
  // multiplied in f32: y = fma(w, x, y) in index order of K.
  void (*grouped_f32)(const GroupedWeight& w, const float* x, std::int64_t rows,
                      std::int64_t x_stride, std::int64_t tile_begin, std::int64_t tile_end,
                      float* y, std::int64_t y_stride, void* scratch);
  // Dense weights: a dot product runs in 16 lanes (lane l takes inputs l, l + 16, ... with fma)
  // which are folded 8, 4, 2, 1. Outputs [row_begin, row_end) of w.
  void (*dense)(const DenseWeight& w, const float* x, std::int64_t rows, std::int64_t x_stride,
                std::int64_t row_begin, std::int64_t row_end, float* y, std::int64_t y_stride);
  // The same for many rows at once, the same bits. Rows lie in vectors of 16: pack_rows writes
  // vectors [begin, end) of rows x into `out` (packed_rows_floats), whose order is the kernels'
  // own.
  void (*pack_rows)(const float* x, std::int64_t rows, std::int64_t x_stride, std::int64_t inputs,
                    std::int64_t begin, std::int64_t end, float* out);
  // `scratch`: near_weights_floats, the calling thread's.
  void (*dense_packed)(const DenseWeight& w, const float* packed, std::int64_t rows,
                       std::int64_t row_begin, std::int64_t row_end, float* y,
                       std::int64_t y_stride, float* scratch);
  // c[m, n] = sum_k a[m, k] b[k, n] for rows [begin, end) of a, both f32 row-major with strides;
  // accumulates over K in index order with fma.
  void (*matmul)(const float* a, std::int64_t a_stride, const float* b, std::int64_t b_stride,
                 float* c, std::int64_t c_stride, std::int64_t begin, std::int64_t end,
                 std::int64_t n, std::int64_t k);
};

// How many of so many rows are worth packing; the others are left to `dense`.
constexpr std::int64_t rows_to_pack(std::int64_t rows) {
  if (rows < 12) return 0;
  return rows % 16 >= 12 ? rows : rows - rows % 16;
}
constexpr std::int64_t row_vectors(std::int64_t rows) { return (rows + 15) / 16; }
// What pack_rows writes, 64-byte aligned.
constexpr std::int64_t packed_rows_floats(std::int64_t rows, std::int64_t inputs) {
  return row_vectors(rows) * ((inputs + 15) / 16) * 256;
}
// Scratch of dense_packed, 64-byte aligned: weights of 16 outputs.
constexpr std::int64_t near_weights_floats(std::int64_t inputs) {
  return (inputs + 255) / 256 * 4096;
}

// Scratch that grouped_int8 and grouped_f32 need per calling thread, 64-byte aligned; as much as
// for `rows` is enough for fewer.
std::size_t linear_scratch_bytes(std::int64_t rows, std::int64_t inputs);

std::span<const LinearKernels* const> linear_variants();  // scalar first; only those compiled in
const LinearKernels& linear_kernels(Isa isa);

// Decodes one row of a grouped weight to f32 (an embedding's Gather); scalar, any ISA.
void decode_grouped_row(const GroupedWeight& w, std::int64_t row, float* out);

// Packs canonical sub-scales [16][groups] of one tile into sub_vectors() * 16 bytes.
void pack_sub_scales(const std::uint8_t* subs, std::int64_t groups, int sub_bits,
                     std::uint8_t* out);

// Packs canonical codes (one byte per code, [16][K] for one tile, rows past the end zero) into the
// tile's codes; `out` takes blocks() * 64 * bits bytes.
void pack_tile(const std::uint8_t* codes, std::int64_t inputs, int bits, std::uint8_t* out);
void unpack_tile(const std::uint8_t* tile, std::int64_t inputs, int bits, std::uint8_t* codes);

}  // namespace thimble::kernels

// AMX: a step of a weight's tile, 64 inputs of 16 outputs, is a register of the matrix unit as it
// lies, and so are 16 rows of x. Everything but the products is AVX-512's.

#include <cstdint>
#include <cstring>
#include <immintrin.h>

#include "kernels/coded.h"

namespace thimble::kernels {
namespace {

#include "kernels/lanes_avx512.h"

constexpr int kCodedTiles = 1, kCodedTokens = 4;

// clang-format off
#include "kernels/coded_avx512.inc"
#include "kernels/coded.inc"
// clang-format on

constexpr int kMatrixRows = 16;

// Registers 0 to 3 hold sums, [rows][16] i32; 4 and 5 rows of x; 6 and 7 steps of two tiles.
struct alignas(64) Shapes {
  std::uint8_t palette = 1, start = 0, reserved[14] = {};
  std::uint16_t bytes[16] = {};
  std::uint8_t rows[16] = {};

  // 16 < rows <= 32 take two registers, fewer one.
  explicit Shapes(std::int64_t count) {
    const int upper = count < kMatrixRows ? static_cast<int>(count) : kMatrixRows;
    const int lower = count > kMatrixRows ? static_cast<int>(count) - kMatrixRows : 1;
    for (int i = 0; i < 8; ++i) {
      bytes[i] = 64;
      rows[i] = static_cast<std::uint8_t>(i >= 6 ? kMatrixRows : i == 4 || i < 2 ? upper : lower);
    }
  }
};

template <class Results>
inline void finish_sums(const std::int32_t* sums, std::int64_t rows, std::int64_t first,
                        std::int64_t outputs, std::int64_t row, const Results& results) {
  const typename Results::Tile out(results, first, outputs_of_tile(first, outputs));
  for (std::int64_t m = 0; m < rows; ++m) out.put(load_sums(sums + 16 * m), row + m);
}

// A tile's last step, where it is not a whole one.
struct Rest {
  alignas(64) std::int8_t bytes[1024];
  const std::int8_t* step(const std::int8_t* tile, std::int64_t k, std::int64_t inputs) {
    if (k + kCodedStep <= inputs) return tile + k * kCodedRows;
    const std::int64_t left = coded_tile_bytes(inputs - k);
    std::memset(bytes, 0, sizeof bytes);
    std::memcpy(bytes, tile + k * kCodedRows, static_cast<std::size_t>(left));
    // GCC 12 isn't told that loading a register of the matrix unit reads memory.
    __asm__ volatile("" : : "r"(bytes) : "memory");
    return bytes;
  }
};

// Two tiles times up to 32 rows; TWO: more than 16.
template <bool TWO>
inline void matrix_pair(const std::int8_t* w, std::int64_t inputs, const std::uint8_t* x,
                        std::int64_t x_stride) {
  _tile_zero(0);
  _tile_zero(1);
  if constexpr (TWO) {
    _tile_zero(2);
    _tile_zero(3);
  }
  const std::int8_t* second = w + coded_tile_bytes(inputs);
  Rest rest[2];
  for (std::int64_t k = 0; k < inputs; k += kCodedStep) {
    _tile_loadd(6, rest[0].step(w, k, inputs), 64);
    _tile_loadd(4, x + k, x_stride);
    _tile_dpbusd(0, 4, 6);
    _tile_loadd(7, rest[1].step(second, k, inputs), 64);
    _tile_dpbusd(1, 4, 7);
    if constexpr (TWO) {
      _tile_loadd(5, x + 16 * x_stride + k, x_stride);
      _tile_dpbusd(2, 5, 6);
      _tile_dpbusd(3, 5, 7);
    }
  }
}

// The last tile by itself.
template <bool TWO>
inline void matrix_single(const std::int8_t* w, std::int64_t inputs, const std::uint8_t* x,
                          std::int64_t x_stride) {
  _tile_zero(0);
  if constexpr (TWO) _tile_zero(2);
  Rest rest;
  for (std::int64_t k = 0; k < inputs; k += kCodedStep) {
    _tile_loadd(6, rest.step(w, k, inputs), 64);
    _tile_loadd(4, x + k, x_stride);
    _tile_dpbusd(0, 4, 6);
    if constexpr (TWO) {
      _tile_loadd(5, x + 16 * x_stride + k, x_stride);
      _tile_dpbusd(2, 5, 6);
    }
  }
}

template <bool TWO, class Results>
inline void multiply_matrix_rows(const std::int8_t* w, std::int64_t inputs, const std::uint8_t* x,
                                 std::int64_t x_stride, std::int64_t row, std::int64_t rows,
                                 std::int64_t outputs, const Results& f) {
  alignas(64) std::int32_t sums[4][256];
  const std::int64_t upper = rows < 16 ? rows : 16;
  x += row * x_stride;
  for (std::int64_t n = 0; n < outputs; n += 32) {
    const bool pair = outputs - n > 16;
    const std::int8_t* tile = w + n / kCodedRows * coded_tile_bytes(inputs);
    if (pair) {
      matrix_pair<TWO>(tile, inputs, x, x_stride);
      _tile_stored(1, sums[1], 64);
      if constexpr (TWO) _tile_stored(3, sums[3], 64);
    } else {
      matrix_single<TWO>(tile, inputs, x, x_stride);
    }
    _tile_stored(0, sums[0], 64);
    if constexpr (TWO) _tile_stored(2, sums[2], 64);
    finish_sums(sums[0], upper, n, outputs, row, f);
    if constexpr (TWO) finish_sums(sums[2], rows - 16, n, outputs, row + 16, f);
    if (!pair) continue;
    finish_sums(sums[1], upper, n + 16, outputs, row, f);
    if constexpr (TWO) finish_sums(sums[3], rows - 16, n + 16, outputs, row + 16, f);
  }
}

template <class Results>
inline void multiply_matrices_to(const std::int8_t* w, std::int64_t inputs, const std::uint8_t* x,
                                 std::int64_t x_stride, std::int64_t rows, std::int64_t outputs,
                                 const Results& results) {
  std::int64_t shaped = 0;  // rows that the registers are set up for
  for (std::int64_t row = 0; row < rows; row += 32) {
    const std::int64_t some = rows - row < 32 ? rows - row : 32;
    if (some != shaped) {
      const Shapes shapes(some);
      _tile_loadconfig(&shapes);
      shaped = some;
    }
    if (some > 16) {
      multiply_matrix_rows<true>(w, inputs, x, x_stride, row, some, outputs, results);
    } else {
      multiply_matrix_rows<false>(w, inputs, x, x_stride, row, some, outputs, results);
    }
  }
  _tile_release();
}

void multiply_matrices(const std::int8_t* w, std::int64_t inputs, const std::uint8_t* x,
                       std::int64_t x_stride, std::int64_t rows, std::int64_t outputs,
                       const Requantize& to, std::uint8_t* y, std::int64_t y_stride) {
  multiply_matrices_to(w, inputs, x, x_stride, rows, outputs, CodeResults{to, y, y_stride});
}

void multiply_matrices_to_floats(const std::int8_t* w, std::int64_t inputs, const std::uint8_t* x,
                                 std::int64_t x_stride, std::int64_t rows, std::int64_t outputs,
                                 const Dequantize& to, float* y, std::int64_t y_stride) {
  multiply_matrices_to(w, inputs, x, x_stride, rows, outputs, FloatResults{to, y, y_stride});
}

}  // namespace

extern const CodedKernels kCodedAmx;
const CodedKernels kCodedAmx = {Isa::kAvx512Amx, multiply_matrices, multiply_matrices_to_floats,
                                taps_of_codes,   most_codes,        mix_codes,
                                encode_codes,    decode_codes,      widen_range_of};

}  // namespace thimble::kernels

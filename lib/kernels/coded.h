#pragma once
// Networks on 8-bit codes from one convolution to the next: values are u8 with one scale and one
// zero, x = scale * (code - zero), an image's channels last, so that what a window sees is a few
// runs of bytes. Every variant gives the same bits: sums are exact in 32 bits, and the way back to
// codes has one definition:
//   code(sum) = zero + round(clamp(float(sum + offset) * factor, low - zero, high - zero))
// with float() and round() to the nearest, halves to even. ONNX Runtime's QLinearConv does the same
// with offset = bias - x's zero * (sum of the weights), factor = x's scale * w's scale / y's scale.
//
// Weights W [N, K] of int8 lie in tiles of 16 outputs, [ceil(N / 16)][ceil(K / 4)][16][4] bytes:
// byte 4 r + j of a tile's quad q is W[16 tile + r, 4 q + j], 0 past either end. Rows of x are read
// in steps of 64 bytes.

#include <cstdint>
#include <span>

#include "kernels/isa.h"

namespace thimble::kernels {

inline constexpr int kCodedRows = 16;
inline constexpr int kCodedStep = 64;
// More products of bytes might not fit 32 bits.
inline constexpr std::int64_t kMostCodedInputs = 65536;

// Of x's rows.
constexpr std::int64_t coded_row_bytes(std::int64_t inputs) {
  return (inputs + kCodedStep - 1) / kCodedStep * kCodedStep;
}
constexpr std::int64_t coded_tile_bytes(std::int64_t inputs) {
  return (inputs + 3) / 4 * 4 * kCodedRows;
}
constexpr std::int64_t coded_bytes(std::int64_t rows, std::int64_t inputs) {
  return (rows + kCodedRows - 1) / kCodedRows * coded_tile_bytes(inputs);
}

// The way back to codes, 0 <= low <= zero, high <= 255.
struct Requantize {
  const std::int32_t* offset = nullptr;  // by output
  const float* factor = nullptr;         // by output
  std::int32_t zero = 0, low = 0, high = 255;
};

// The way to floats of a product whose weights may have zeros as well:
//   y = float(sum + offset - zero * x_sum) * factor + bias
// each step rounded, integers wrapping around. MatMulInteger, Cast and Mul give the same with
// offset = inputs * x's zero * w's zero - x's zero * (sum of the weights), x_sum = sum of the row's
// codes.
struct Dequantize {
  const std::int32_t* offset = nullptr;  // by output
  const float* factor = nullptr;         // by output
  const float* bias = nullptr;           // by output; null: nothing is added
  const std::int32_t* zero = nullptr;    // by output; null: all 0
  const std::int32_t* x_sums = nullptr;  // by row, where there is a zero
};

// y = code(a's code * a_factor + b's code * b_factor + shift), in this order, each step rounded.
struct Mixture {
  float a_factor = 1, b_factor = 1, shift = 0;
  std::int32_t zero = 0, low = 0, high = 255;
};

struct CodedKernels {
  Isa isa;
  // y[m, n] = code(sum_k W[n, k] x[m, k]) for `rows` rows of x and `outputs` outputs of w, whose
  // tiles begin at `w`. Of each row, coded_row_bytes(inputs) are there and may be read, those past
  // `inputs` being 0.
  void (*multiply)(const std::int8_t* w, std::int64_t inputs, const std::uint8_t* x,
                   std::int64_t x_stride, std::int64_t rows, std::int64_t outputs,
                   const Requantize& to, std::uint8_t* y, std::int64_t y_stride);
  // y[m, n] = float(sum_k W[n, k] x[m, k]), as `multiply` in all else.
  void (*multiply_to_floats)(const std::int8_t* w, std::int64_t inputs, const std::uint8_t* x,
                             std::int64_t x_stride, std::int64_t rows, std::int64_t outputs,
                             const Dequantize& to, float* y, std::int64_t y_stride);
  // y[c] = code(sum_t w[t * w_stride + c] x[t][c]): depthwise convolutions, means.
  void (*taps)(const std::uint8_t* const* x, const std::int8_t* w, std::int64_t w_stride,
               std::int64_t count, std::int64_t channels, const Requantize& to, std::uint8_t* y);
  // y[c] = the largest x[t][c]; count >= 1.
  void (*most)(const std::uint8_t* const* x, std::int64_t count, std::int64_t channels,
               std::uint8_t* y);
  void (*mix)(const std::uint8_t* a, const std::uint8_t* b, std::int64_t count, const Mixture& m,
              std::uint8_t* y);
  // As QuantizeLinear: round(x / scale) + zero, cut off at 0 and 255; NaN gives 0.
  void (*encode)(const float* x, std::int64_t count, float scale, std::int32_t zero,
                 std::uint8_t* y);
  void (*decode)(const std::uint8_t* x, std::int64_t count, float scale, std::int32_t zero,
                 float* y);
  // Lowers `least` and raises `most` to what x holds; NaN is passed over.
  void (*widen_range)(const float* x, std::int64_t count, float& least, float& most);
};

std::span<const CodedKernels* const> coded_variants();  // scalar first
const CodedKernels& coded_kernels(Isa isa);

// w [rows, inputs] as tiles one after the other, coded_bytes(rows, inputs) of them.
void pack_coded(const std::int8_t* w, std::int64_t rows, std::int64_t inputs, std::int8_t* out);

}  // namespace thimble::kernels

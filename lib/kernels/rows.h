#pragma once
// Everything that works on rows or elements: norms, functions, softmax, rotary positions. All in
// f32, the same bits on every ISA: sums run in 16 lanes that are folded 8, 4, 2, 1, and functions
// are the same sequence of fused operations everywhere (vector_math.inc; exp and the functions made
// of it are within 2 ulp, erf within 2e-7 absolute).
//
// Callers split work over threads by rows or by ranges of elements that start at multiples of 16.

#include <cstdint>
#include <span>

#include "kernels/isa.h"

namespace thimble::kernels {

enum class Function : std::uint8_t {
  kIdentity,
  kSilu,
  kGeluErf,
  kGeluTanh,
  kGeluQuick,
  kTanh,
  kSigmoid,
  kRelu,
  kExp,
  kErf,
  kSqrt,
  kReciprocal,
  kNeg,
  kAbs,
  kLog,
  kSin,
  kCos,
  kFloor,
  kCeil,
  kRound,
  kSoftplus,
  kHardSwish,
};
enum class Pair : std::uint8_t {
  kAdd,
  kSub,
  kMul,
  kDiv,
  kMin,
  kMax,
  kLeaky,  // a where it isn't below 0, else a * b
};

struct RowKernels {
  Isa isa;
  // y = x / sqrt(mean(x^2) + epsilon) * weight over rows of `width`; weight may be null.
  void (*rms_norm)(const float* x, const float* weight, float epsilon, std::int64_t rows,
                   std::int64_t width, float* y);
  // y = (x - mean) / sqrt(variance + epsilon) * weight + bias; weight and bias may be null.
  void (*layer_norm)(const float* x, const float* weight, const float* bias, float epsilon,
                     std::int64_t rows, std::int64_t width, float* y);
  void (*softmax)(const float* x, std::int64_t rows, std::int64_t width, float* y);
  void (*map)(Function function, const float* x, std::int64_t count, float* y);
  void (*gated)(Function function, const float* gate, const float* up, std::int64_t count,
                float* y);  // f(gate) * up
  void (*pair)(Pair pair, const float* a, const float* b, std::int64_t count, float* y);
  void (*scale)(const float* x, float factor, std::int64_t count, float* y);
  // One head's rotation: pairs are (x[i], x[half + i]), or (x[2 i], x[2 i + 1]) where interleaved.
  // y may be x.
  void (*rotate)(const float* x, const float* cosine, const float* sine, std::int64_t half,
                 bool interleaved, float* y);
};

std::span<const RowKernels* const> row_variants();  // scalar first; only those compiled in
const RowKernels& row_kernels(Isa isa);

}  // namespace thimble::kernels

#pragma once
// The search for scales, vectorised over rows: 16 groups of 16 rows at a time, one in each lane, so
// that no sum crosses lanes and every ISA gives the same bits.

#include <cstdint>
#include <span>

#include "ir/encoding.h"
#include "kernels/isa.h"

namespace thimble::quant {

inline constexpr int kLanes = 16;

// One number by what rounds kLanes of them.
inline float round_one(void (*round)(float* lanes), float value) {
  float lanes[kLanes] = {value};
  round(lanes);
  return lanes[0];
}
// To the nearest whole number, ties to even, by arithmetic alone (|x| < 2^51).
inline double nearest_whole(double x) { return (x + 0x1.8p52) - 0x1.8p52; }

// One group of each of 16 rows.
struct FitInput {
  const float* x = nullptr;           // [n][kLanes], finite
  const float* importance = nullptr;  // [n], >= 0, the same for all rows; null: all equal
  std::int64_t n = 0;
  ir::ZeroKind zero_kind = ir::ZeroKind::kConstant;
  int constant_zero = 0;  // kConstant only
  int top = 15;           // the largest code, 2^bits - 1
  // What the codes stand for, [top + 1], ascending; null: themselves less the zero. With kConstant.
  const float* table = nullptr;
  bool positive = false;  // kConstant: scales below 0 are not tried
  bool search = true;     // false: the scale follows from the extremes alone
  // Rounds kLanes numbers to what the encoding can store. A scale that isn't 0 stays so.
  void (*round_scales)(float* lanes) = nullptr;
  void (*round_minima)(float* lanes) = nullptr;
  float scale_unit = 1;  // a power of two: what `round_scales` counts scales in
};

struct FitParameters {
  alignas(64) float scale[kLanes];
  alignas(64) float zero[kLanes];     // a whole number; kMinima: 0
  alignas(64) float minimum[kLanes];  // kMinima; else 0
};

// What parameters lose with the codes that follow from them: of each lane, with x less the minimum
// as y, sum m (y - s p)^2, sum m y p and sum m p^2 (m importance, s scale, p what the code stands
// for).
struct FitMeasure {
  alignas(64) float error[kLanes];
  alignas(64) float yp[kLanes];
  alignas(64) float pp[kLanes];
};

struct FitCodes {
  std::uint8_t* codes = nullptr;     // [n][kLanes]
  alignas(64) float noise[kLanes];   // sum of (w - decoded)^2
  alignas(64) float signal[kLanes];  // sum of w^2
};

// A run of inputs of 16 rows that are quantized under the same parameters, one after the other:
// each one's error is passed on to the inputs after it (GPTQ, Algorithm 1's inner loop).
struct Compensation {
  float* weights = nullptr;          // [n][kLanes] of a block of inputs: those after the run change
  float* errors = nullptr;           // [n][kLanes], out: (w - decoded) / factor[i][i]
  std::uint8_t* codes = nullptr;     // [n][kLanes], out
  const float* factor = nullptr;     // [n, n], rows `stride` apart; w[j] -= error[i] factor[i][j]
  const float* asymmetry = nullptr;  // likewise; w[j] += w[i] asymmetry[i][j]. Null: none
  std::int64_t stride = 0;
  std::int64_t n = 0;
  std::int64_t begin = 0, end = 0;  // the run
  int top = 15;                     // the largest code
  const float* table = nullptr;     // as in FitInput
};

struct FitKernels {
  kernels::Isa isa;
  void (*fit)(const FitInput& input, FitParameters& out);
  // The nearest codes (ties to even) under given parameters.
  void (*encode)(const FitInput& input, const FitParameters& parameters, FitCodes& out);
  void (*measure)(const FitInput& input, const FitParameters& parameters, FitMeasure& out);
  // kLanes rows of n numbers, `stride` apart, to [n][kLanes], and back.
  void (*to_lanes)(const float* x, std::int64_t stride, std::int64_t n, float* out);
  void (*from_lanes)(const std::uint8_t* codes, std::int64_t n, std::uint8_t* out,
                     std::int64_t stride);
  void (*compensate)(const Compensation& in, const FitParameters& parameters);
};

std::span<const FitKernels* const> fit_variants();  // scalar first; only those compiled in
const FitKernels& fit_kernels();                    // for this CPU (or what THIMBLE_ISA asks for)

// What an encoding says of a fit: zeros, codes and rounders. Weights, importance and whether to
// search are the caller's.
FitInput fit_input(const ir::Encoding& encoding);

}  // namespace thimble::quant

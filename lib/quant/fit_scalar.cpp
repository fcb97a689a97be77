#include <cmath>
#include <cstring>

#include "quant/fit.h"

namespace thimble::quant {
namespace {

// Four lanes at a time in the compilers' own vector type: plain code for any CPU.
using F4 = float __attribute__((vector_size(16)));
using I4 = int __attribute__((vector_size(16)));
constexpr int kParts = kLanes / 4;

struct V {
  F4 part[kParts];
};
struct Mask {
  I4 part[kParts];
};

template <class F>
inline V each(F f) {
  V out;
  for (int i = 0; i < kParts; ++i) out.part[i] = f(i);
  return out;
}
template <class F>
inline Mask compare(F f) {
  Mask out;
  for (int i = 0; i < kParts; ++i) out.part[i] = f(i);
  return out;
}
inline F4 choose(I4 mask, F4 yes, F4 no) {
  return reinterpret_cast<F4>((mask & reinterpret_cast<I4>(yes)) |
                              (~mask & reinterpret_cast<I4>(no)));
}

inline V load(const float* p) {
  V out;
  std::memcpy(&out, p, sizeof out);
  return out;
}
inline void store(float* p, V v) { std::memcpy(p, &v, sizeof v); }
inline V splat(float x) {
  return each([&](int) { return F4{x, x, x, x}; });
}
inline V add(V a, V b) {
  return each([&](int i) { return a.part[i] + b.part[i]; });
}
inline V sub(V a, V b) {
  return each([&](int i) { return a.part[i] - b.part[i]; });
}
inline V mul(V a, V b) {
  return each([&](int i) { return a.part[i] * b.part[i]; });
}
inline V div(V a, V b) {
  return each([&](int i) { return a.part[i] / b.part[i]; });
}
inline V fma(V a, V b, V c) {
  V out;
  for (int i = 0; i < kParts; ++i) {
    for (int j = 0; j < 4; ++j) out.part[i][j] = std::fma(a.part[i][j], b.part[i][j], c.part[i][j]);
  }
  return out;
}
// As the vector instructions have it: the second where they are equal.
inline V min(V a, V b) {
  return each([&](int i) { return choose(a.part[i] < b.part[i], a.part[i], b.part[i]); });
}
inline V max(V a, V b) {
  return each([&](int i) { return choose(a.part[i] > b.part[i], a.part[i], b.part[i]); });
}
inline Mask equal(V a, V b) {
  return compare([&](int i) { return a.part[i] == b.part[i]; });
}
inline Mask greater(V a, V b) {
  return compare([&](int i) { return a.part[i] > b.part[i]; });
}
inline V choose(Mask m, V yes, V no) {
  return each([&](int i) { return choose(m.part[i], yes.part[i], no.part[i]); });
}
inline void store_bytes(std::uint8_t* p, V v) {
  float lanes[kLanes];
  store(lanes, v);
  for (int i = 0; i < kLanes; ++i) p[i] = static_cast<std::uint8_t>(static_cast<int>(lanes[i]));
}

// The second builds on the first.
// clang-format off
#include "quant/fit.inc"
#include "quant/gptq.inc"
// clang-format on

void to_lanes(const float* x, std::int64_t stride, std::int64_t n, float* out) {
  for (int r = 0; r < kLanes; ++r) {
    for (std::int64_t k = 0; k < n; ++k) out[k * kLanes + r] = x[r * stride + k];
  }
}

void from_lanes(const std::uint8_t* codes, std::int64_t n, std::uint8_t* out, std::int64_t stride) {
  for (int r = 0; r < kLanes; ++r) {
    for (std::int64_t k = 0; k < n; ++k) out[r * stride + k] = codes[k * kLanes + r];
  }
}

}  // namespace

extern const FitKernels kFitScalar;
const FitKernels kFitScalar = {
    kernels::Isa::kScalar, fit, encode, measure_codes, to_lanes, from_lanes, compensate};

}  // namespace thimble::quant

#include "quant/fit.h"

namespace thimble::quant {
namespace {

struct V {
  float lane[kLanes];
};
struct Mask {
  bool lane[kLanes];
};

template <class F>
inline V each(F f) {
  V out;
  for (int i = 0; i < kLanes; ++i) out.lane[i] = f(i);
  return out;
}
template <class F>
inline Mask compare(F f) {
  Mask out;
  for (int i = 0; i < kLanes; ++i) out.lane[i] = f(i);
  return out;
}

inline V load(const float* p) {
  return each([&](int i) { return p[i]; });
}
inline void store(float* p, V v) {
  for (int i = 0; i < kLanes; ++i) p[i] = v.lane[i];
}
inline V splat(float x) {
  return each([&](int) { return x; });
}
inline V add(V a, V b) {
  return each([&](int i) { return a.lane[i] + b.lane[i]; });
}
inline V sub(V a, V b) {
  return each([&](int i) { return a.lane[i] - b.lane[i]; });
}
inline V mul(V a, V b) {
  return each([&](int i) { return a.lane[i] * b.lane[i]; });
}
inline V div(V a, V b) {
  return each([&](int i) { return a.lane[i] / b.lane[i]; });
}
// As the vector instructions have it: the second where they are equal.
inline V min(V a, V b) {
  return each([&](int i) { return a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i]; });
}
inline V max(V a, V b) {
  return each([&](int i) { return a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]; });
}
inline Mask equal(V a, V b) {
  return compare([&](int i) { return a.lane[i] == b.lane[i]; });
}
inline Mask greater(V a, V b) {
  return compare([&](int i) { return a.lane[i] > b.lane[i]; });
}
inline V choose(Mask m, V yes, V no) {
  return each([&](int i) { return m.lane[i] ? yes.lane[i] : no.lane[i]; });
}
inline void store_bytes(std::uint8_t* p, V v) {
  for (int i = 0; i < kLanes; ++i) p[i] = static_cast<std::uint8_t>(static_cast<int>(v.lane[i]));
}

#include "quant/fit.inc"

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
const FitKernels kFitScalar = {kernels::Isa::kScalar, fit, encode, to_lanes, from_lanes};

}  // namespace thimble::quant

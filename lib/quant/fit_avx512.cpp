#include <immintrin.h>

#include "quant/fit.h"

namespace thimble::quant {
namespace {

struct V {
  __m512 v;
};
using Mask = __mmask16;

inline V load(const float* p) { return {_mm512_loadu_ps(p)}; }
inline void store(float* p, V v) { _mm512_storeu_ps(p, v.v); }
inline V splat(float x) { return {_mm512_set1_ps(x)}; }
inline V add(V x, V y) { return {_mm512_add_ps(x.v, y.v)}; }
inline V sub(V x, V y) { return {_mm512_sub_ps(x.v, y.v)}; }
inline V mul(V x, V y) { return {_mm512_mul_ps(x.v, y.v)}; }
inline V div(V x, V y) { return {_mm512_div_ps(x.v, y.v)}; }
inline V fma(V x, V y, V z) { return {_mm512_fmadd_ps(x.v, y.v, z.v)}; }
inline V min(V x, V y) { return {_mm512_min_ps(x.v, y.v)}; }
inline V max(V x, V y) { return {_mm512_max_ps(x.v, y.v)}; }
inline Mask equal(V x, V y) { return _mm512_cmp_ps_mask(x.v, y.v, _CMP_EQ_OQ); }
inline Mask greater(V x, V y) { return _mm512_cmp_ps_mask(x.v, y.v, _CMP_GT_OQ); }
inline V choose(Mask m, V yes, V no) { return {_mm512_mask_blend_ps(m, no.v, yes.v)}; }
inline void store_bytes(std::uint8_t* p, V v) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(v.v)));
}

// Each builds on those before it.
// clang-format off
#include "quant/fit.inc"
#include "quant/gptq.inc"
#include "quant/transpose_avx.inc"
// clang-format on

}  // namespace

extern const FitKernels kFitAvx512;
const FitKernels kFitAvx512 = {
    kernels::Isa::kAvx512Vnni, fit, encode, measure_codes, to_lanes, from_lanes, compensate};

}  // namespace thimble::quant

// Tiles for AVX-512.

#include <immintrin.h>

#include "linalg/gemm.h"

namespace thimble::linalg {
namespace {

namespace f32 {
using Real = float;
using Reg = __m512;
constexpr int kWidth = 16, kTileRows = 12, kTileRegs = 2;
inline Reg load(const Real* p) { return _mm512_loadu_ps(p); }
inline void store(Real* p, Reg x) { _mm512_storeu_ps(p, x); }
inline Reg splat(Real x) { return _mm512_set1_ps(x); }
inline Reg fma(Reg x, Reg y, Reg z) { return _mm512_fmadd_ps(x, y, z); }
inline Reg div(Reg x, Reg y) { return _mm512_div_ps(x, y); }
#include "linalg/gemm.inc"
}  // namespace f32

namespace f64 {
using Real = double;
using Reg = __m512d;
constexpr int kWidth = 8, kTileRows = 12, kTileRegs = 2;
inline Reg load(const Real* p) { return _mm512_loadu_pd(p); }
inline void store(Real* p, Reg x) { _mm512_storeu_pd(p, x); }
inline Reg splat(Real x) { return _mm512_set1_pd(x); }
inline Reg fma(Reg x, Reg y, Reg z) { return _mm512_fmadd_pd(x, y, z); }
inline Reg div(Reg x, Reg y) { return _mm512_div_pd(x, y); }
#include "linalg/gemm.inc"
}  // namespace f64

}  // namespace

extern const GemmKernels kGemmAvx512;
const GemmKernels kGemmAvx512 = {kernels::Isa::kAvx512Vnni, f32::kTiles, f64::kTiles};

}  // namespace thimble::linalg

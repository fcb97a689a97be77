// Tiles for AVX2 and FMA.

#include <immintrin.h>

#include "linalg/gemm.h"

namespace thimble::linalg {
namespace {

namespace f32 {
using Real = float;
using Reg = __m256;
constexpr int kWidth = 8, kTileRows = 6, kTileRegs = 2;
inline Reg load(const Real* p) { return _mm256_loadu_ps(p); }
inline void store(Real* p, Reg x) { _mm256_storeu_ps(p, x); }
inline Reg splat(Real x) { return _mm256_set1_ps(x); }
inline Reg fma(Reg x, Reg y, Reg z) { return _mm256_fmadd_ps(x, y, z); }
inline Reg div(Reg x, Reg y) { return _mm256_div_ps(x, y); }
#include "linalg/gemm.inc"
}  // namespace f32

namespace f64 {
using Real = double;
using Reg = __m256d;
constexpr int kWidth = 4, kTileRows = 6, kTileRegs = 2;
inline Reg load(const Real* p) { return _mm256_loadu_pd(p); }
inline void store(Real* p, Reg x) { _mm256_storeu_pd(p, x); }
inline Reg splat(Real x) { return _mm256_set1_pd(x); }
inline Reg fma(Reg x, Reg y, Reg z) { return _mm256_fmadd_pd(x, y, z); }
inline Reg div(Reg x, Reg y) { return _mm256_div_pd(x, y); }
#include "linalg/gemm.inc"
}  // namespace f64

}  // namespace

extern const GemmKernels kGemmAvx2;
const GemmKernels kGemmAvx2 = {kernels::Isa::kAvx2, f32::kTiles, f64::kTiles};

}  // namespace thimble::linalg

// Tiles for NEON.

#include <arm_neon.h>

#include "linalg/gemm.h"

namespace thimble::linalg {
namespace {

namespace f32 {
using Real = float;
using Reg = float32x4_t;
constexpr int kWidth = 4, kTileRows = 8, kTileRegs = 3;
inline Reg load(const Real* p) { return vld1q_f32(p); }
inline void store(Real* p, Reg x) { vst1q_f32(p, x); }
inline Reg splat(Real x) { return vdupq_n_f32(x); }
inline Reg fma(Reg x, Reg y, Reg z) { return vfmaq_f32(z, x, y); }
inline Reg div(Reg x, Reg y) { return vdivq_f32(x, y); }
#include "linalg/gemm.inc"
}  // namespace f32

namespace f64 {
using Real = double;
using Reg = float64x2_t;
constexpr int kWidth = 2, kTileRows = 8, kTileRegs = 3;
inline Reg load(const Real* p) { return vld1q_f64(p); }
inline void store(Real* p, Reg x) { vst1q_f64(p, x); }
inline Reg splat(Real x) { return vdupq_n_f64(x); }
inline Reg fma(Reg x, Reg y, Reg z) { return vfmaq_f64(z, x, y); }
inline Reg div(Reg x, Reg y) { return vdivq_f64(x, y); }
#include "linalg/gemm.inc"
}  // namespace f64

}  // namespace

extern const GemmKernels kGemmNeon;
const GemmKernels kGemmNeon = {kernels::Isa::kNeon, f32::kTiles, f64::kTiles};

}  // namespace thimble::linalg

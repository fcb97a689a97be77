// Tiles in plain C++: the reference that the others equal bit for bit.

#include <cmath>

#include "linalg/gemm.h"

namespace thimble::linalg {
namespace {

namespace f32 {
using Real = float;
using Reg = float;
constexpr int kWidth = 1, kTileRows = 4, kTileRegs = 4;
inline Reg load(const Real* p) { return *p; }
inline void store(Real* p, Reg x) { *p = x; }
inline Reg splat(Real x) { return x; }
inline Reg fma(Reg x, Reg y, Reg z) { return std::fma(x, y, z); }
inline Reg div(Reg x, Reg y) { return x / y; }
#include "linalg/gemm.inc"
}  // namespace f32

namespace f64 {
using Real = double;
using Reg = double;
constexpr int kWidth = 1, kTileRows = 4, kTileRegs = 4;
inline Reg load(const Real* p) { return *p; }
inline void store(Real* p, Reg x) { *p = x; }
inline Reg splat(Real x) { return x; }
inline Reg fma(Reg x, Reg y, Reg z) { return std::fma(x, y, z); }
inline Reg div(Reg x, Reg y) { return x / y; }
#include "linalg/gemm.inc"
}  // namespace f64

}  // namespace

extern const GemmKernels kGemmScalar;
const GemmKernels kGemmScalar = {kernels::Isa::kScalar, f32::kTiles, f64::kTiles};

}  // namespace thimble::linalg

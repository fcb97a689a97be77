// NEON with the dot product instruction (Armv8.2).

#include <arm_neon.h>

#include <cstdint>
#include <cstring>

#include "kernels/linear.h"

namespace thimble::kernels {
namespace {

#include "kernels/lanes_neon.h"

inline int32x4_t dot_four(int32x4_t sum, int8x16_t a, int8x16_t b) { return vdotq_s32(sum, a, b); }

#include "kernels/linear_neon.inc"

}  // namespace

extern const LinearKernels kLinearNeonDotprod;
const LinearKernels kLinearNeonDotprod = {Isa::kNeonDotprod, quantize_rows, grouped_int8, grouped_f32, dense, matmul};

}  // namespace thimble::kernels

// NEON without the dot product instruction: widening multiplications, added in pairs.

#include <arm_neon.h>

#include <cstdint>
#include <cstring>

#include "kernels/linear.h"

namespace thimble::kernels {
namespace {

#include "kernels/lanes_neon.h"

inline int32x4_t dot_four(int32x4_t sum, int8x16_t a, int8x16_t b) {
  const int32x4_t low = vpaddlq_s16(vmull_s8(vget_low_s8(a), vget_low_s8(b)));
  const int32x4_t high = vpaddlq_s16(vmull_high_s8(a, b));
  return vaddq_s32(sum, vpaddq_s32(low, high));
}

#include "kernels/linear_neon.inc"

}  // namespace

extern const LinearKernels kLinearNeon;
const LinearKernels kLinearNeon = {Isa::kNeon, quantize_rows, grouped_int8, grouped_f32, dense, matmul};

}  // namespace thimble::kernels

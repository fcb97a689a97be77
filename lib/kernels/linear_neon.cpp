// NEON without the dot product instruction: widening multiplications, summed in 16 bits over as
// many quads as cannot overflow.

#include <arm_neon.h>
#include <cstdint>
#include <cstring>

#include "kernels/force_inline.h"
#include "kernels/linear.h"

namespace thimble::kernels {
namespace {

#include "kernels/lanes_neon.h"
#include "kernels/linear_neon.inc"

constexpr int kTokens = 2;
// 127 * (2^bits - 1) * quads < 32768; 8-bit codes are signed, so 127 * 128.
constexpr int kRun(int bits) { return bits >= 7 ? 2 : bits == 6 ? 4 : 8; }

template <int RUN, int QUADS, int TOKENS>
THIMBLE_FORCE_INLINE void dot(const Codes& codes, int first, const std::int8_t* q,
                              Sums (&sums)[TOKENS]) {
  constexpr int kLength = RUN < QUADS ? RUN : QUADS;
  for (int part = 0; part < 4; ++part) {
    for (int run = 0; run < QUADS; run += kLength) {
      int16x8_t low[TOKENS], high[TOKENS];
      for (int t = 0; t < TOKENS; ++t) low[t] = high[t] = vdupq_n_s16(0);
      for (int quad = first + run; quad < first + run + kLength; ++quad) {
        const int8x16_t code = codes.part[4 * quad + part];
        for (int t = 0; t < TOKENS; ++t) {
          std::int32_t four;
          std::memcpy(&four, q + t * kBlock + 4 * quad, sizeof four);
          const int8x16_t fours = vreinterpretq_s8_s32(vdupq_n_s32(four));
          low[t] = vmlal_s8(low[t], vget_low_s8(code), vget_low_s8(fours));
          high[t] = vmlal_high_s8(high[t], code, fours);
        }
      }
      for (int t = 0; t < TOKENS; ++t) {
        const int32x4_t four_rows = vpaddq_s32(vpaddlq_s16(low[t]), vpaddlq_s16(high[t]));
        sums[t].v[part] = vaddq_s32(sums[t].v[part], four_rows);
      }
    }
  }
}

#include "kernels/linear.inc"

}  // namespace

extern const LinearKernels kLinearNeon;
const LinearKernels kLinearNeon = {Isa::kNeon,   quantize_rows, quantize_rows_at,
                                   grouped_int8, grouped_f32,   dense,
                                   pack_rows,    dense_packed,  matmul};

}  // namespace thimble::kernels

// NEON without the dot product instruction: both factors are widened to 16 bits.

#include <arm_neon.h>
#include <cstdint>
#include <cstring>

#include "kernels/coded.h"

namespace thimble::kernels {
namespace {

// The second builds on the first.
// clang-format off
#include "kernels/lanes_neon.h"
#include "kernels/coded_neon.inc"
// clang-format on

constexpr bool kFourCodes = false;
constexpr int kCodedTiles = 1, kCodedTokens = 4;

template <int TILES, int TOKENS>
inline void products(const std::int8_t* w, std::int64_t, std::int64_t quads, const std::uint8_t* x,
                     std::int64_t stride, Sums (&sums)[TILES][TOKENS]) {
  static_assert(TILES == 1);
  for (int t = 0; t < TOKENS; ++t) sums[0][t] = no_sums();
  for (std::int64_t q = 0; q < quads; ++q) {
    for (int part = 0; part < 4; ++part) {
      const int8x16_t weights = vld1q_s8(w + q * 64 + 16 * part);
      const int16x8_t low = vmovl_s8(vget_low_s8(weights)), high = vmovl_high_s8(weights);
      for (int t = 0; t < TOKENS; ++t) {
        std::uint32_t four;
        std::memcpy(&four, x + t * stride + 4 * q, sizeof four);
        const int16x8_t bytes =
            vreinterpretq_s16_u16(vmovl_u8(vreinterpret_u8_u32(vdup_n_u32(four))));
        int32x4_t even = vmull_s16(vget_low_s16(low), vget_low_s16(bytes));
        int32x4_t odd = vmull_s16(vget_low_s16(high), vget_low_s16(bytes));
        const int32x4_t first = vmull_high_s16(low, bytes), second = vmull_high_s16(high, bytes);
        even = vpaddq_s32(even, first);
        odd = vpaddq_s32(odd, second);
        sums[0][t].v[part] = vaddq_s32(sums[0][t].v[part], vpaddq_s32(even, odd));
      }
    }
  }
}

#include "kernels/coded.inc"

}  // namespace

extern const CodedKernels kCodedNeon;
const CodedKernels kCodedNeon = {Isa::kNeon,    multiply_codes, multiply_floats,
                                 taps_of_codes, most_codes,     mix_codes,
                                 encode_codes,  decode_codes,   widen_range_of};

}  // namespace thimble::kernels

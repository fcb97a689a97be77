// NEON with the dot product instruction (Armv8.2), which multiplies bytes of one sign: x less 128,
// and 128 times the sum of the weights.

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
  // 128 = 64 + 64, which signed bytes hold.
  const int8x16_t half = vdupq_n_s8(64);
  Sums moved = no_sums();
  for (int t = 0; t < TOKENS; ++t) sums[0][t] = no_sums();
  for (std::int64_t q = 0; q < quads; ++q) {
    for (int part = 0; part < 4; ++part) {
      const int8x16_t weights = vld1q_s8(w + q * 64 + 16 * part);
      moved.v[part] = vdotq_s32(moved.v[part], weights, half);
      for (int t = 0; t < TOKENS; ++t) {
        std::uint32_t four;
        std::memcpy(&four, x + t * stride + 4 * q, sizeof four);
        const int8x16_t bytes = vreinterpretq_s8_u32(vdupq_n_u32(four ^ 0x80808080u));
        sums[0][t].v[part] = vdotq_s32(sums[0][t].v[part], weights, bytes);
      }
    }
  }
  moved = add(moved, moved);
  for (int t = 0; t < TOKENS; ++t) sums[0][t] = add(sums[0][t], moved);
}

#include "kernels/coded.inc"

}  // namespace

extern const CodedKernels kCodedNeonDotprod;
const CodedKernels kCodedNeonDotprod = {Isa::kNeonDotprod, multiply_codes, multiply_floats,
                                        taps_of_codes,     most_codes,     mix_codes,
                                        encode_codes,      decode_codes,   widen_range_of};

}  // namespace thimble::kernels

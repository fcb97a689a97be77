// NEON with the dot product instruction (Armv8.2).

#include <arm_neon.h>
#include <cstdint>
#include <cstring>

#include "kernels/force_inline.h"
#include "kernels/linear.h"

namespace thimble::kernels {
namespace {

#include "kernels/lanes_neon.h"
#include "kernels/linear_neon.inc"

constexpr int kTokens = 4;
constexpr int kRun(int) { return 8; }

// The quad whose activations are lane LANE of the four quads' in `q`.
template <int LANE, int TOKENS>
THIMBLE_FORCE_INLINE void dot_quad(const int8x16_t* parts, const int8x16_t (&q)[TOKENS],
                                   Sums (&sums)[TOKENS]) {
  for (int part = 0; part < 4; ++part) {
    for (int t = 0; t < TOKENS; ++t)
      sums[t].v[part] = vdotq_laneq_s32(sums[t].v[part], parts[part], q[t], LANE);
  }
}

template <int RUN, int QUADS, int TOKENS>
THIMBLE_FORCE_INLINE void dot(const Codes& codes, int first, const std::int8_t* q,
                              Sums (&sums)[TOKENS]) {
  for (int quad = first; quad < first + QUADS; quad += 4) {
    int8x16_t four_quads[TOKENS];
    for (int t = 0; t < TOKENS; ++t) four_quads[t] = vld1q_s8(q + t * kBlock + 4 * quad);
    dot_quad<0>(codes.part + 4 * quad, four_quads, sums);
    dot_quad<1>(codes.part + 4 * quad + 4, four_quads, sums);
    dot_quad<2>(codes.part + 4 * quad + 8, four_quads, sums);
    dot_quad<3>(codes.part + 4 * quad + 12, four_quads, sums);
  }
}

#include "kernels/linear.inc"

}  // namespace

extern const LinearKernels kLinearNeonDotprod;
const LinearKernels kLinearNeonDotprod = {Isa::kNeonDotprod, quantize_rows, quantize_rows_at,
                                          grouped_int8,      grouped_f32,   dense,
                                          pack_rows,         dense_packed,  matmul};

}  // namespace thimble::kernels

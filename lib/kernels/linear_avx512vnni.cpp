// AVX-512 with VNNI: a quad is one register and vpdpbusd sums four products per lane; the broadcast
// of four activations comes with the instruction.

#include <cstdint>
#include <cstring>
#include <immintrin.h>

#include "kernels/force_inline.h"
#include "kernels/linear.h"

namespace thimble::kernels {
namespace {

#include "kernels/lanes_avx512.h"

constexpr int kTokens = 8, kDenseTokens = 4, kDenseOutputs = 4, kMatmulRows = 8;
constexpr int kBlockedOutputs = 8, kBlockedVectors = 3;
constexpr std::int32_t kCodeBias = 0;
constexpr int kRun(int) { return 8; }

struct Codes {
  __m512i quad[8];
};
struct Sums {
  __m512i v;
};

THIMBLE_FORCE_INLINE __m512i load_vector(const std::uint8_t* p) { return _mm512_loadu_si512(p); }

// Adds the bits of one plane to the quads, `SHIFT` bits up.
template <int PLANE, int SHIFT>
THIMBLE_FORCE_INLINE void unpack_plane(const std::uint8_t* plane, Codes& codes) {
  const __m512i mask = _mm512_set1_epi8((1 << PLANE) - 1);
  for (int v = 0; v < PLANE; ++v) {
    const __m512i packed = load_vector(plane + v * 64);
    for (int part = 0; part < 8 / PLANE; ++part) {
      const __m512i bits =
          _mm512_and_si512(part == 0 ? packed : _mm512_srli_epi16(packed, PLANE * part), mask);
      __m512i& quad = codes.quad[part * PLANE + v];
      quad = SHIFT == 0 ? bits : _mm512_or_si512(quad, _mm512_slli_epi16(bits, SHIFT));
    }
  }
}

template <int BITS>
THIMBLE_FORCE_INLINE Codes unpack(const std::uint8_t* block) {
  Codes codes;
  if constexpr (BITS == 8) {
    for (int q = 0; q < 8; ++q) codes.quad[q] = load_vector(block + q * 64);
  }
  if constexpr (BITS != 8 && (BITS & 4) != 0) unpack_plane<4, 0>(block, codes);
  if constexpr ((BITS & 2) != 0) unpack_plane<2, (BITS & 4)>(block + (BITS & 4) * 64, codes);
  if constexpr ((BITS & 1) != 0) unpack_plane<1, (BITS & 6)>(block + (BITS & 6) * 64, codes);
  return codes;
}
THIMBLE_FORCE_INLINE Codes lookup(const Codes& codes, const std::int8_t* table) {
  const __m512i entries = _mm512_xor_si512(
      _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table))),
      _mm512_set1_epi8(-128));
  Codes out;
  for (int q = 0; q < 8; ++q) out.quad[q] = _mm512_shuffle_epi8(entries, codes.quad[q]);
  return out;
}
THIMBLE_FORCE_INLINE Sums broadcast(std::int32_t x) { return {_mm512_set1_epi32(x)}; }
template <int RUN, int QUADS, int TOKENS>
THIMBLE_FORCE_INLINE void dot(const Codes& codes, int first, const std::int8_t* q,
                              Sums (&sums)[TOKENS]) {
  for (int i = 0; i < QUADS; ++i) {
    const __m512i quad = codes.quad[first + i];
    for (int t = 0; t < TOKENS; ++t) {
      std::int32_t four;
      std::memcpy(&four, q + t * kBlock + 4 * (first + i), sizeof four);
      sums[t].v = _mm512_dpbusd_epi32(sums[t].v, quad, _mm512_set1_epi32(four));
    }
  }
}
THIMBLE_FORCE_INLINE Sums widen(const std::uint8_t* points) {
  return {_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(points)))};
}
THIMBLE_FORCE_INLINE Sums bits_of(Sums sums, int shift, int mask) {
  return {_mm512_and_si512(_mm512_srl_epi32(sums.v, _mm_cvtsi32_si128(shift)),
                           _mm512_set1_epi32(mask))};
}
THIMBLE_FORCE_INLINE Sums subtract_products(Sums sums, const Sums& points, std::int32_t sum) {
  return {_mm512_sub_epi32(sums.v, _mm512_mullo_epi32(points.v, _mm512_set1_epi32(sum)))};
}
THIMBLE_FORCE_INLINE Lanes to_float(Sums sums) { return {_mm512_cvtepi32_ps(sums.v)}; }
THIMBLE_FORCE_INLINE Lanes input_codes(const Codes& codes, int input) {
  const __m512i moved = _mm512_srl_epi32(codes.quad[input / 4], _mm_cvtsi32_si128(input % 4 * 8));
  return {_mm512_cvtepi32_ps(_mm512_and_si512(moved, _mm512_set1_epi32(255)))};
}
THIMBLE_FORCE_INLINE void store_i8(std::int8_t* out, Lanes whole) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out),
                   _mm512_cvtepi32_epi8(_mm512_cvttps_epi32(whole.v)));
}

#include "kernels/linear.inc"

}  // namespace

extern const LinearKernels kLinearAvx512Vnni;
const LinearKernels kLinearAvx512Vnni = {Isa::kAvx512Vnni, quantize_rows, quantize_rows_at,
                                         grouped_int8,     grouped_f32,   dense,
                                         pack_rows,        dense_packed,  matmul};

}  // namespace thimble::kernels

// AVX2: a quad is two registers. vpmaddubsw adds two products in 16 bits, and as many quads as
// cannot overflow are summed there before vpmaddwd widens them: 2 * 127 * (2^bits - 1) * quads <
// 32768. 8-bit codes go in two nibbles.

#include <cstdint>
#include <cstring>
#include <immintrin.h>

#include "kernels/force_inline.h"
#include "kernels/linear.h"

namespace thimble::kernels {
namespace {

#include "kernels/lanes_avx2.h"

constexpr int kTokens = 4, kDenseTokens = 2, kDenseOutputs = 2, kMatmulRows = 2;
constexpr int kBlockedOutputs = 4, kBlockedVectors = 1;
constexpr std::int32_t kCodeBias = 0;
constexpr int kNibbles = 0;  // 8-bit codes
constexpr int kRun(int bits) {
  return bits == 8 ? kNibbles : bits == 7 ? 1 : bits == 6 ? 2 : bits == 5 ? 4 : 8;
}

struct Codes {
  __m256i half[16];
};
struct Sums {
  __m256i lo, hi;
};

THIMBLE_FORCE_INLINE __m256i load_vector(const std::uint8_t* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}

template <int PLANE, int SHIFT>
THIMBLE_FORCE_INLINE void unpack_plane(const std::uint8_t* plane, Codes& codes) {
  const __m256i mask = _mm256_set1_epi8((1 << PLANE) - 1);
  for (int v = 0; v < 2 * PLANE; ++v) {
    const __m256i packed = load_vector(plane + v * 32);
    for (int part = 0; part < 8 / PLANE; ++part) {
      const __m256i bits = _mm256_and_si256(_mm256_srli_epi16(packed, PLANE * part), mask);
      __m256i& half = codes.half[part * 2 * PLANE + v];
      half = SHIFT == 0 ? bits : _mm256_or_si256(half, _mm256_slli_epi16(bits, SHIFT));
    }
  }
}

template <int BITS>
THIMBLE_FORCE_INLINE Codes unpack(const std::uint8_t* block) {
  Codes codes;
  if constexpr (BITS == 8) {
    for (int h = 0; h < 16; ++h) codes.half[h] = load_vector(block + h * 32);
  }
  if constexpr (BITS != 8 && (BITS & 4) != 0) unpack_plane<4, 0>(block, codes);
  if constexpr ((BITS & 2) != 0) unpack_plane<2, (BITS & 4)>(block + (BITS & 4) * 64, codes);
  if constexpr ((BITS & 1) != 0) unpack_plane<1, (BITS & 6)>(block + (BITS & 6) * 64, codes);
  return codes;
}
THIMBLE_FORCE_INLINE Codes lookup(const Codes& codes, const std::int8_t* table) {
  const __m256i entries = _mm256_xor_si256(
      _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table))),
      _mm256_set1_epi8(-128));
  Codes out;
  for (int h = 0; h < 16; ++h) out.half[h] = _mm256_shuffle_epi8(entries, codes.half[h]);
  return out;
}
THIMBLE_FORCE_INLINE Sums broadcast(std::int32_t x) {
  return {_mm256_set1_epi32(x), _mm256_set1_epi32(x)};
}
THIMBLE_FORCE_INLINE __m256i broadcast_four(const std::int8_t* q) {
  std::int32_t four;
  std::memcpy(&four, q, sizeof four);
  return _mm256_set1_epi32(four);
}

// GCC sums integers in a tree of its own, for which 16 registers are too few: this holds it to
// ours.
THIMBLE_FORCE_INLINE void keep_order(__m256i& sum) { asm("" : "+x"(sum)); }

// One half (8 rows) of 8-bit codes: both nibbles are summed in 16 bits over all quads.
template <int QUADS, int TOKENS>
THIMBLE_FORCE_INLINE void dot_nibbles(const Codes& codes, int first, int half, const std::int8_t* q,
                                      __m256i (&sums)[TOKENS]) {
  const __m256i nibble = _mm256_set1_epi8(15), ones = _mm256_set1_epi16(1),
                sixteens = _mm256_set1_epi16(16);
  __m256i low[TOKENS], high[TOKENS];
  for (int t = 0; t < TOKENS; ++t) low[t] = high[t] = _mm256_setzero_si256();
  for (int i = 0; i < QUADS; ++i) {
    const __m256i code = codes.half[2 * (first + i) + half];
    const __m256i code_low = _mm256_and_si256(code, nibble);
    const __m256i code_high = _mm256_and_si256(_mm256_srli_epi16(code, 4), nibble);
    for (int t = 0; t < TOKENS; ++t) {
      const __m256i four = broadcast_four(q + t * kBlock + 4 * (first + i));
      low[t] = _mm256_add_epi16(low[t], _mm256_maddubs_epi16(code_low, four));
      high[t] = _mm256_add_epi16(high[t], _mm256_maddubs_epi16(code_high, four));
      keep_order(low[t]);
      keep_order(high[t]);
    }
  }
  for (int t = 0; t < TOKENS; ++t) {
    const __m256i both =
        _mm256_add_epi32(_mm256_madd_epi16(low[t], ones), _mm256_madd_epi16(high[t], sixteens));
    sums[t] = _mm256_add_epi32(sums[t], both);
  }
}

template <int RUN, int QUADS, int TOKENS>
THIMBLE_FORCE_INLINE void dot(const Codes& codes, int first, const std::int8_t* q,
                              Sums (&sums)[TOKENS]) {
  if constexpr (RUN == kNibbles) {
    __m256i lo[TOKENS], hi[TOKENS];
    for (int t = 0; t < TOKENS; ++t) lo[t] = sums[t].lo, hi[t] = sums[t].hi;
    dot_nibbles<QUADS, TOKENS>(codes, first, 0, q, lo);
    dot_nibbles<QUADS, TOKENS>(codes, first, 1, q, hi);
    for (int t = 0; t < TOKENS; ++t) sums[t] = {lo[t], hi[t]};
  } else {
    constexpr int kLength = RUN < QUADS ? RUN : QUADS;
    const __m256i ones = _mm256_set1_epi16(1);
    for (int run = 0; run < QUADS; run += kLength) {
      __m256i lo[TOKENS], hi[TOKENS];
      for (int i = 0; i < kLength; ++i) {
        const int quad = first + run + i;
        const __m256i code_lo = codes.half[2 * quad], code_hi = codes.half[2 * quad + 1];
        for (int t = 0; t < TOKENS; ++t) {
          const __m256i four = broadcast_four(q + t * kBlock + 4 * quad);
          const __m256i two_lo = _mm256_maddubs_epi16(code_lo, four);
          const __m256i two_hi = _mm256_maddubs_epi16(code_hi, four);
          lo[t] = i == 0 ? two_lo : _mm256_add_epi16(lo[t], two_lo);
          hi[t] = i == 0 ? two_hi : _mm256_add_epi16(hi[t], two_hi);
          keep_order(lo[t]);
          keep_order(hi[t]);
        }
      }
      for (int t = 0; t < TOKENS; ++t) {
        sums[t].lo = _mm256_add_epi32(sums[t].lo, _mm256_madd_epi16(lo[t], ones));
        sums[t].hi = _mm256_add_epi32(sums[t].hi, _mm256_madd_epi16(hi[t], ones));
      }
    }
  }
}
THIMBLE_FORCE_INLINE __m256i widen_half(const std::uint8_t* points) {
  return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(points)));
}
THIMBLE_FORCE_INLINE Sums widen(const std::uint8_t* points) {
  return {widen_half(points), widen_half(points + 8)};
}
THIMBLE_FORCE_INLINE Sums bits_of(Sums sums, int shift, int bits) {
  const __m128i by = _mm_cvtsi32_si128(shift);
  const __m256i mask = _mm256_set1_epi32(bits);
  return {_mm256_and_si256(_mm256_srl_epi32(sums.lo, by), mask),
          _mm256_and_si256(_mm256_srl_epi32(sums.hi, by), mask)};
}
THIMBLE_FORCE_INLINE Sums subtract_products(Sums sums, const Sums& points, std::int32_t sum) {
  const __m256i factor = _mm256_set1_epi32(sum);
  return {_mm256_sub_epi32(sums.lo, _mm256_mullo_epi32(points.lo, factor)),
          _mm256_sub_epi32(sums.hi, _mm256_mullo_epi32(points.hi, factor))};
}
THIMBLE_FORCE_INLINE Lanes to_float(Sums sums) {
  return {_mm256_cvtepi32_ps(sums.lo), _mm256_cvtepi32_ps(sums.hi)};
}
THIMBLE_FORCE_INLINE __m256 input_half(__m256i quad, int input) {
  const __m256i moved = _mm256_srl_epi32(quad, _mm_cvtsi32_si128(input % 4 * 8));
  return _mm256_cvtepi32_ps(_mm256_and_si256(moved, _mm256_set1_epi32(255)));
}
THIMBLE_FORCE_INLINE Lanes input_codes(const Codes& codes, int input) {
  const int quad = input / 4;
  return {input_half(codes.half[2 * quad], input), input_half(codes.half[2 * quad + 1], input)};
}
THIMBLE_FORCE_INLINE void store_i8(std::int8_t* out, Lanes whole) {
  // The packs work within halves of 128 bits: a permutation puts the four pieces back in order.
  const __m256i words =
      _mm256_packs_epi32(_mm256_cvttps_epi32(whole.lo), _mm256_cvttps_epi32(whole.hi));
  const __m256i ordered = _mm256_permute4x64_epi64(words, 0xd8);
  const __m128i bytes =
      _mm_packs_epi16(_mm256_castsi256_si128(ordered), _mm256_extracti128_si256(ordered, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out), bytes);
}

#include "kernels/linear.inc"

}  // namespace

extern const LinearKernels kLinearAvx2;
const LinearKernels kLinearAvx2 = {Isa::kAvx2,   quantize_rows, quantize_rows_at,
                                   grouped_int8, grouped_f32,   dense,
                                   pack_rows,    dense_packed,  matmul};

}  // namespace thimble::kernels

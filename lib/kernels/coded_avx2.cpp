// AVX2: products of bytes that differ in sign could overflow vpmaddubsw's 16 bits, so even and odd
// bytes are widened to 16 bits and multiplied apart.

#include <cstdint>
#include <cstring>
#include <immintrin.h>

#include "kernels/coded.h"

namespace thimble::kernels {
namespace {

#include "kernels/lanes_avx2.h"

constexpr bool kFourCodes = false;
constexpr int kCodedTiles = 1, kCodedTokens = 4;

struct Sums {
  __m256i lo, hi;
};
inline Sums no_sums() { return {_mm256_setzero_si256(), _mm256_setzero_si256()}; }
inline __m256i load_half(const void* p) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}
inline Sums load_sums(const std::int32_t* p) { return {load_half(p), load_half(p + 8)}; }
inline Sums add(Sums a, Sums b) {
  return {_mm256_add_epi32(a.lo, b.lo), _mm256_add_epi32(a.hi, b.hi)};
}
inline Sums subtract_scaled(Sums sums, Sums by, std::int32_t scale) {
  const __m256i all = _mm256_set1_epi32(scale);
  return {_mm256_sub_epi32(sums.lo, _mm256_mullo_epi32(by.lo, all)),
          _mm256_sub_epi32(sums.hi, _mm256_mullo_epi32(by.hi, all))};
}
inline __m128i eight_bytes(const void* p) {
  return _mm_loadl_epi64(static_cast<const __m128i*>(p));
}
inline __m256i half_product(const std::uint8_t* x, const std::int8_t* w) {
  // Both fit 16 bits: one multiplication, whose upper halves are multiplied to nothing.
  return _mm256_madd_epi16(_mm256_cvtepu8_epi32(eight_bytes(x)),
                           _mm256_cvtepi8_epi32(eight_bytes(w)));
}
inline Sums add_products(Sums sums, const std::uint8_t* x, const std::int8_t* w) {
  return add(sums, {half_product(x, w), half_product(x + 8, w + 8)});
}
inline Lanes to_float(Sums sums) {
  return {_mm256_cvtepi32_ps(sums.lo), _mm256_cvtepi32_ps(sums.hi)};
}
inline Lanes load_u8(const std::uint8_t* p) {
  return to_float({_mm256_cvtepu8_epi32(eight_bytes(p)), _mm256_cvtepu8_epi32(eight_bytes(p + 8))});
}
inline void store_u8(std::uint8_t* out, Lanes whole) {
  // The packs work within halves of 128 bits: a permutation puts the four pieces back in order.
  const __m256i words =
      _mm256_packs_epi32(_mm256_cvttps_epi32(whole.lo), _mm256_cvttps_epi32(whole.hi));
  const __m256i ordered = _mm256_permute4x64_epi64(words, 0xd8);
  _mm_storeu_si128(
      reinterpret_cast<__m128i*>(out),
      _mm_packus_epi16(_mm256_castsi256_si128(ordered), _mm256_extracti128_si256(ordered, 1)));
}
// Eight outputs of a tile, those of half `half`.
template <int TOKENS>
inline void half_products(const std::int8_t* w, std::int64_t quads, const std::uint8_t* x,
                          std::int64_t stride, __m256i (&sums)[TOKENS]) {
  const __m256i low = _mm256_set1_epi16(255);
  for (int t = 0; t < TOKENS; ++t) sums[t] = _mm256_setzero_si256();
  for (std::int64_t q = 0; q < quads; ++q) {
    const __m256i weights = load_half(w + q * 64);
    const __m256i odd = _mm256_srai_epi16(weights, 8);
    const __m256i even = _mm256_srai_epi16(_mm256_slli_epi16(weights, 8), 8);
    for (int t = 0; t < TOKENS; ++t) {
      std::int32_t four;
      std::memcpy(&four, x + t * stride + 4 * q, sizeof four);
      const __m256i bytes = _mm256_set1_epi32(four);
      const __m256i evens = _mm256_madd_epi16(_mm256_and_si256(bytes, low), even);
      const __m256i odds = _mm256_madd_epi16(_mm256_srli_epi16(bytes, 8), odd);
      sums[t] = _mm256_add_epi32(sums[t], _mm256_add_epi32(evens, odds));
    }
  }
}
template <int TILES, int TOKENS>
inline void products(const std::int8_t* w, std::int64_t, std::int64_t quads, const std::uint8_t* x,
                     std::int64_t stride, Sums (&sums)[TILES][TOKENS]) {
  static_assert(TILES == 1);
  __m256i lo[TOKENS], hi[TOKENS];
  half_products<TOKENS>(w, quads, x, stride, lo);
  half_products<TOKENS>(w + 32, quads, x, stride, hi);
  for (int t = 0; t < TOKENS; ++t) sums[0][t] = {lo[t], hi[t]};
}

#include "kernels/coded.inc"

}  // namespace

extern const CodedKernels kCodedAvx2;
const CodedKernels kCodedAvx2 = {Isa::kAvx2,    multiply_codes, multiply_floats,
                                 taps_of_codes, most_codes,     mix_codes,
                                 encode_codes,  decode_codes,   widen_range_of};

}  // namespace thimble::kernels

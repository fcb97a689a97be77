// AVX2: a quad is two registers. vpmaddubsw adds two products in 16 bits, which codes of up to 7 bits cannot
// overflow (2 * 127 * 127 < 32768); 8-bit codes go in two nibbles.

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "kernels/linear.h"

namespace thimble::kernels {
namespace {

#include "kernels/lanes_avx2.h"

constexpr int kTokens = 2, kDenseTokens = 2, kDenseOutputs = 2;
constexpr std::int32_t kCodeBias = 0;

struct Codes {
  __m256i half[16];
  bool wide;  // 8-bit codes
};
struct Sums {
  __m256i lo, hi;
};

inline __m256i load_vector(const std::uint8_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }

template <int PLANE, int SHIFT>
inline void unpack_plane(const std::uint8_t* plane, Codes& codes) {
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
inline Codes unpack(const std::uint8_t* block) {
  Codes codes;
  codes.wide = BITS == 8;
  if constexpr (BITS == 8) {
    for (int h = 0; h < 16; ++h) codes.half[h] = load_vector(block + h * 32);
  }
  if constexpr (BITS != 8 && (BITS & 4) != 0) unpack_plane<4, 0>(block, codes);
  if constexpr ((BITS & 2) != 0) unpack_plane<2, (BITS & 4)>(block + (BITS & 4) * 64, codes);
  if constexpr ((BITS & 1) != 0) unpack_plane<1, (BITS & 6)>(block + (BITS & 6) * 64, codes);
  return codes;
}
inline Sums broadcast(std::int32_t x) { return {_mm256_set1_epi32(x), _mm256_set1_epi32(x)}; }
inline __m256i dot_half(__m256i sum, __m256i codes, __m256i q, bool wide) {
  const __m256i ones = _mm256_set1_epi16(1);
  if (!wide) return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(codes, q), ones));
  const __m256i nibble = _mm256_set1_epi8(15);
  const __m256i low = _mm256_maddubs_epi16(_mm256_and_si256(codes, nibble), q);
  const __m256i high = _mm256_maddubs_epi16(_mm256_and_si256(_mm256_srli_epi16(codes, 4), nibble), q);
  return _mm256_add_epi32(sum, _mm256_add_epi32(_mm256_madd_epi16(low, ones), _mm256_madd_epi16(high, _mm256_set1_epi16(16))));
}
inline Sums dot(Sums sums, const Codes& codes, int quad, const std::int8_t* four) {
  std::int32_t packed;
  std::memcpy(&packed, four, sizeof packed);
  const __m256i q = _mm256_set1_epi32(packed);
  return {dot_half(sums.lo, codes.half[2 * quad], q, codes.wide), dot_half(sums.hi, codes.half[2 * quad + 1], q, codes.wide)};
}
inline __m256i subtract_half(__m256i sum, const std::uint8_t* points, __m256i factor) {
  const __m256i wide = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(points)));
  return _mm256_sub_epi32(sum, _mm256_mullo_epi32(wide, factor));
}
inline Sums subtract_products(Sums sums, const std::uint8_t* points, std::int32_t sum) {
  const __m256i factor = _mm256_set1_epi32(sum);
  return {subtract_half(sums.lo, points, factor), subtract_half(sums.hi, points + 8, factor)};
}
inline Lanes to_float(Sums sums) { return {_mm256_cvtepi32_ps(sums.lo), _mm256_cvtepi32_ps(sums.hi)}; }

#include "kernels/linear_grouped.inc"
#include "kernels/linear_float.inc"

}  // namespace

extern const LinearKernels kLinearAvx2;
const LinearKernels kLinearAvx2 = {Isa::kAvx2, quantize_rows, grouped_int8, grouped_f32, dense, matmul};

}  // namespace thimble::kernels

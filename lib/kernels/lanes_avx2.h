// Sixteen f32 lanes in two ymm registers; see lanes_scalar.h for the meaning.

struct Lanes {
  __m256 lo, hi;
};

[[maybe_unused]] inline __m256i mask_of(int n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
[[maybe_unused]] inline Lanes set1(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
[[maybe_unused]] inline Lanes load(const float* p) {
  return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}
[[maybe_unused]] inline Lanes load_part(const float* p, int n) {
  return {_mm256_maskload_ps(p, mask_of(n)), _mm256_maskload_ps(p + 8, mask_of(n - 8))};
}
// Of eight floats read at p and those eight on, as far as they come before `reach`.
[[maybe_unused]] inline __m256 even_half(const float* p, int reach) {
  const __m256 low = _mm256_maskload_ps(p, mask_of(reach));
  const __m256 high = _mm256_maskload_ps(p + 8, mask_of(reach - 8));
  const __m256 mixed = _mm256_shuffle_ps(low, high, 0x88);
  return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(mixed), 0xd8));
}
[[maybe_unused]] inline Lanes load_even(const float* p, int n) {
  const int reach = 2 * n - 1;
  return {even_half(p, reach), even_half(p + 16, reach - 16)};
}
// All ones in the lanes that are bits of `lanes`.
[[maybe_unused]] inline __m256i mask_of_bits(int lanes) {
  const __m256i bits = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
  return _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32(lanes), bits), bits);
}
[[maybe_unused]] inline __m256 blend(__m256 no, __m256 yes, __m256i mask) {
  return _mm256_blendv_ps(no, yes, _mm256_castsi256_ps(mask));
}
[[maybe_unused]] inline Lanes load_lanes(const float* p, std::uint16_t lanes, Lanes other) {
  const __m256i low = mask_of_bits(lanes), high = mask_of_bits(lanes >> 8);
  return {blend(other.lo, _mm256_maskload_ps(p, low), low),
          blend(other.hi, _mm256_maskload_ps(p + 8, high), high)};
}
[[maybe_unused]] inline Lanes load_even_lanes(const float* p, std::uint16_t lanes, Lanes other) {
  const auto half = [p](int bits, int at, __m256 rest) {
    const __m256i twice = _mm256_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14), mask = mask_of_bits(bits);
    return _mm256_mask_i32gather_ps(rest, p + at, twice, _mm256_castsi256_ps(mask), 4);
  };
  return {half(lanes, 0, other.lo), half(lanes >> 8, 16, other.hi)};
}
struct Pairs {
  Lanes even, odd;
};
[[maybe_unused]] inline Pairs load_pairs(const float* p, std::uint32_t inside, Lanes other) {
  __m256 quarters[4];
  for (int i = 0; i < 4; ++i) {
    const __m256i mask = mask_of_bits(static_cast<int>(inside >> 8 * i));
    quarters[i] = blend(i < 2 ? other.lo : other.hi, _mm256_maskload_ps(p + 8 * i, mask), mask);
  }
  // Each half's elements 0 to 3 and 8 to 11, then 4 to 7 and 12 to 15, so that a shuffle within 128
  // bits takes every other one in order.
  const auto apart = [&](int half, int which) {
    const __m256 a = quarters[2 * half], b = quarters[2 * half + 1];
    const __m256 first = _mm256_permute2f128_ps(a, b, 0x20);
    const __m256 second = _mm256_permute2f128_ps(a, b, 0x31);
    return which == 0 ? _mm256_shuffle_ps(first, second, 0x88)
                      : _mm256_shuffle_ps(first, second, 0xdd);
  };
  return {{apart(0, 0), apart(1, 0)}, {apart(0, 1), apart(1, 1)}};
}
[[maybe_unused]] inline Lanes load_f16(const std::uint16_t* p) {
  return {_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))),
          _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 8)))};
}
[[maybe_unused]] inline __m256 widen_bf16(const std::uint16_t* p) {
  const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}
[[maybe_unused]] inline Lanes load_bf16(const std::uint16_t* p) {
  return {widen_bf16(p), widen_bf16(p + 8)};
}
[[maybe_unused]] inline __m256 widen_i8(const std::int8_t* p) {
  return _mm256_cvtepi32_ps(
      _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
}
[[maybe_unused]] inline Lanes load_i8(const std::int8_t* p) {
  return {widen_i8(p), widen_i8(p + 8)};
}
// Eight bytes of codes of 4 bits, the low halves first.
[[maybe_unused]] inline Lanes load_u4(const std::uint8_t* p) {
  const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
  const __m128i mask = _mm_set1_epi8(15);
  const __m128i low = _mm_and_si128(bytes, mask);
  const __m128i high = _mm_and_si128(_mm_srli_epi16(bytes, 4), mask);
  return {_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(low)),
          _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(high))};
}
[[maybe_unused]] inline void store(float* p, Lanes a) {
  _mm256_storeu_ps(p, a.lo);
  _mm256_storeu_ps(p + 8, a.hi);
}
[[maybe_unused]] inline void store_part(float* p, Lanes a, int n) {
  _mm256_maskstore_ps(p, mask_of(n), a.lo);
  _mm256_maskstore_ps(p + 8, mask_of(n - 8), a.hi);
}
#define LANES_BOTH(f) \
  return { f(a.lo, b.lo), f(a.hi, b.hi) }
[[maybe_unused]] inline Lanes add(Lanes a, Lanes b) { LANES_BOTH(_mm256_add_ps); }
[[maybe_unused]] inline Lanes sub(Lanes a, Lanes b) { LANES_BOTH(_mm256_sub_ps); }
[[maybe_unused]] inline Lanes mul(Lanes a, Lanes b) { LANES_BOTH(_mm256_mul_ps); }
[[maybe_unused]] inline Lanes div(Lanes a, Lanes b) { LANES_BOTH(_mm256_div_ps); }
[[maybe_unused]] inline Lanes max(Lanes a, Lanes b) { LANES_BOTH(_mm256_max_ps); }
[[maybe_unused]] inline Lanes min(Lanes a, Lanes b) { LANES_BOTH(_mm256_min_ps); }
#undef LANES_BOTH
[[maybe_unused]] inline Lanes fma(Lanes a, Lanes b, Lanes c) {
  return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}
[[maybe_unused]] inline Lanes sqrt(Lanes a) { return {_mm256_sqrt_ps(a.lo), _mm256_sqrt_ps(a.hi)}; }
[[maybe_unused]] inline Lanes round(Lanes a) {
  constexpr int kNearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  return {_mm256_round_ps(a.lo, kNearest), _mm256_round_ps(a.hi, kNearest)};
}
[[maybe_unused]] inline __m256 sign_mask() {
  return _mm256_castsi256_ps(_mm256_set1_epi32(static_cast<int>(0x80000000u)));
}
[[maybe_unused]] inline Lanes abs(Lanes a) {
  return {_mm256_andnot_ps(sign_mask(), a.lo), _mm256_andnot_ps(sign_mask(), a.hi)};
}
[[maybe_unused]] inline Lanes copy_sign(Lanes a, Lanes s) {
  const Lanes magnitude = abs(a);
  return {_mm256_or_ps(magnitude.lo, _mm256_and_ps(sign_mask(), s.lo)),
          _mm256_or_ps(magnitude.hi, _mm256_and_ps(sign_mask(), s.hi))};
}
[[maybe_unused]] inline Lanes select_less(Lanes a, Lanes b, Lanes yes, Lanes no) {
  return {_mm256_blendv_ps(no.lo, yes.lo, _mm256_cmp_ps(a.lo, b.lo, _CMP_LT_OQ)),
          _mm256_blendv_ps(no.hi, yes.hi, _mm256_cmp_ps(a.hi, b.hi, _CMP_LT_OQ))};
}
[[maybe_unused]] inline Lanes select_number(Lanes a, Lanes yes, Lanes no) {
  return {_mm256_blendv_ps(no.lo, yes.lo, _mm256_cmp_ps(a.lo, a.lo, _CMP_EQ_OQ)),
          _mm256_blendv_ps(no.hi, yes.hi, _mm256_cmp_ps(a.hi, a.hi, _CMP_EQ_OQ))};
}
[[maybe_unused]] inline __m256 exp2_half(__m256 n) {
  return _mm256_castsi256_ps(
      _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvttps_epi32(n), _mm256_set1_epi32(127)), 23));
}
[[maybe_unused]] inline Lanes exp2_whole(Lanes n) { return {exp2_half(n.lo), exp2_half(n.hi)}; }
[[maybe_unused]] inline float fold_sum(Lanes a) {
  const __m256 eight = _mm256_add_ps(a.lo, a.hi);
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
[[maybe_unused]] inline __m256 fold_to_eight(const float* row) {
  return _mm256_add_ps(_mm256_load_ps(row), _mm256_load_ps(row + 8));
}
// Rows t and t + 4 of eight, as the four sums of each.
[[maybe_unused]] inline __m256 fold_to_four(const float (*rows)[16], int t) {
  const __m256 a = fold_to_eight(rows[t]), b = fold_to_eight(rows[t + 4]);
  return _mm256_add_ps(_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(a, b, 0x31));
}
[[maybe_unused]] inline __m256 fold_to_two(__m256 a, __m256 b) {
  return _mm256_add_ps(_mm256_shuffle_ps(a, b, 0x44), _mm256_shuffle_ps(a, b, 0xee));
}
[[maybe_unused]] inline __m256 fold_eight_rows(const float (*rows)[16]) {
  const __m256 a = fold_to_two(fold_to_four(rows, 0), fold_to_four(rows, 1));
  const __m256 b = fold_to_two(fold_to_four(rows, 2), fold_to_four(rows, 3));
  return _mm256_add_ps(_mm256_shuffle_ps(a, b, 0x88), _mm256_shuffle_ps(a, b, 0xdd));
}
[[maybe_unused]] inline Lanes fold_sums(const float (*rows)[16]) {
  return {fold_eight_rows(rows), fold_eight_rows(rows + 8)};
}
[[maybe_unused]] inline float fold_max(Lanes a) {
  const __m256 eight = _mm256_max_ps(a.lo, a.hi);
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}
// Eight rows of eight as columns.
[[maybe_unused]] inline void store_eight_columns(const __m256 (&rows)[8], float* out,
                                                 std::int64_t stride) {
  __m256 pairs[8], fours[8];
  for (int i = 0; i < 8; i += 2) {
    pairs[i] = _mm256_unpacklo_ps(rows[i], rows[i + 1]);
    pairs[i + 1] = _mm256_unpackhi_ps(rows[i], rows[i + 1]);
  }
  // Columns c and c + 4 of rows 4 i to 4 i + 3 lie in fours[4 i + c].
  for (int i = 0; i < 8; i += 4) {
    fours[i] = _mm256_shuffle_ps(pairs[i], pairs[i + 2], 0x44);
    fours[i + 1] = _mm256_shuffle_ps(pairs[i], pairs[i + 2], 0xee);
    fours[i + 2] = _mm256_shuffle_ps(pairs[i + 1], pairs[i + 3], 0x44);
    fours[i + 3] = _mm256_shuffle_ps(pairs[i + 1], pairs[i + 3], 0xee);
  }
  for (int c = 0; c < 4; ++c) {
    _mm256_storeu_ps(out + c * stride, _mm256_permute2f128_ps(fours[c], fours[4 + c], 0x20));
    _mm256_storeu_ps(out + (4 + c) * stride, _mm256_permute2f128_ps(fours[c], fours[4 + c], 0x31));
  }
}
[[maybe_unused]] inline void store_transposed(const Lanes (&rows)[16], float* out,
                                              std::int64_t stride) {
  for (int r = 0; r < 16; r += 8) {
    __m256 low[8], high[8];
    for (int i = 0; i < 8; ++i) {
      low[i] = rows[r + i].lo;
      high[i] = rows[r + i].hi;
    }
    store_eight_columns(low, out + r, stride);
    store_eight_columns(high, out + 8 * stride + r, stride);
  }
}

// Sixteen f32 lanes in one zmm register; see lanes_scalar.h for the meaning.

struct Lanes {
  __m512 v;
};

[[maybe_unused]] inline __mmask16 first(int n) { return static_cast<__mmask16>((1u << n) - 1u); }
[[maybe_unused]] inline Lanes set1(float x) { return {_mm512_set1_ps(x)}; }
[[maybe_unused]] inline Lanes load(const float* p) { return {_mm512_loadu_ps(p)}; }
[[maybe_unused]] inline Lanes load_part(const float* p, int n) {
  return {_mm512_maskz_loadu_ps(first(n), p)};
}
[[maybe_unused]] inline Lanes load_even(const float* p, int n) {
  const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  const int reach = 2 * n - 1;
  const __m512 low = _mm512_maskz_loadu_ps(first(reach < 16 ? reach : 16), p);
  const __m512 high = _mm512_maskz_loadu_ps(first(reach > 16 ? reach - 16 : 0), p + 16);
  return {_mm512_permutex2var_ps(low, even, high)};
}
[[maybe_unused]] inline Lanes load_lanes(const float* p, std::uint16_t lanes, Lanes other) {
  return {_mm512_mask_loadu_ps(other.v, lanes, p)};
}
[[maybe_unused]] inline Lanes load_even_lanes(const float* p, std::uint16_t lanes, Lanes other) {
  const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  const std::uint32_t read = _pdep_u32(lanes, 0x55555555u);
  const __m512 low = _mm512_maskz_loadu_ps(static_cast<__mmask16>(read), p);
  const __m512 high = _mm512_maskz_loadu_ps(static_cast<__mmask16>(read >> 16), p + 16);
  return {_mm512_mask_mov_ps(other.v, lanes, _mm512_permutex2var_ps(low, even, high))};
}
struct Pairs {
  Lanes even, odd;
};
[[maybe_unused]] inline Pairs load_pairs(const float* p, std::uint32_t inside, Lanes other) {
  const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  const __m512i odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
  const __m512 low = _mm512_mask_loadu_ps(other.v, static_cast<__mmask16>(inside), p);
  const __m512 high = _mm512_mask_loadu_ps(other.v, static_cast<__mmask16>(inside >> 16), p + 16);
  return {{_mm512_permutex2var_ps(low, even, high)}, {_mm512_permutex2var_ps(low, odd, high)}};
}
[[maybe_unused]] inline Lanes load_f16(const std::uint16_t* p) {
  return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}
[[maybe_unused]] inline Lanes load_bf16(const std::uint16_t* p) {
  const __m512i wide =
      _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(wide, 16))};
}
[[maybe_unused]] inline Lanes load_i8(const std::int8_t* p) {
  return {_mm512_cvtepi32_ps(
      _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))))};
}
// Eight bytes of codes of 4 bits, the low halves first.
[[maybe_unused]] inline Lanes load_u4(const std::uint8_t* p) {
  const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
  const __m128i both = _mm_unpacklo_epi64(bytes, _mm_srli_epi16(bytes, 4));
  return {_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_and_si128(both, _mm_set1_epi8(15))))};
}
[[maybe_unused]] inline void store(float* p, Lanes a) { _mm512_storeu_ps(p, a.v); }
[[maybe_unused]] inline void store_part(float* p, Lanes a, int n) {
  _mm512_mask_storeu_ps(p, first(n), a.v);
}
[[maybe_unused]] inline Lanes add(Lanes a, Lanes b) { return {_mm512_add_ps(a.v, b.v)}; }
[[maybe_unused]] inline Lanes sub(Lanes a, Lanes b) { return {_mm512_sub_ps(a.v, b.v)}; }
[[maybe_unused]] inline Lanes mul(Lanes a, Lanes b) { return {_mm512_mul_ps(a.v, b.v)}; }
[[maybe_unused]] inline Lanes div(Lanes a, Lanes b) { return {_mm512_div_ps(a.v, b.v)}; }
[[maybe_unused]] inline Lanes fma(Lanes a, Lanes b, Lanes c) {
  return {_mm512_fmadd_ps(a.v, b.v, c.v)};
}
[[maybe_unused]] inline Lanes max(Lanes a, Lanes b) { return {_mm512_max_ps(a.v, b.v)}; }
[[maybe_unused]] inline Lanes min(Lanes a, Lanes b) { return {_mm512_min_ps(a.v, b.v)}; }
[[maybe_unused]] inline Lanes sqrt(Lanes a) { return {_mm512_sqrt_ps(a.v)}; }
[[maybe_unused]] inline Lanes round(Lanes a) {
  return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
[[maybe_unused]] inline Lanes abs(Lanes a) { return {_mm512_abs_ps(a.v)}; }
[[maybe_unused]] inline Lanes copy_sign(Lanes a, Lanes s) {
  const __m512 mask = _mm512_castsi512_ps(_mm512_set1_epi32(static_cast<int>(0x80000000u)));
  return {_mm512_or_ps(_mm512_andnot_ps(mask, a.v), _mm512_and_ps(mask, s.v))};
}
[[maybe_unused]] inline Lanes select_less(Lanes a, Lanes b, Lanes yes, Lanes no) {
  return {_mm512_mask_blend_ps(_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ), no.v, yes.v)};
}
[[maybe_unused]] inline Lanes select_number(Lanes a, Lanes yes, Lanes no) {
  return {_mm512_mask_blend_ps(_mm512_cmp_ps_mask(a.v, a.v, _CMP_EQ_OQ), no.v, yes.v)};
}
[[maybe_unused]] inline Lanes exp2_whole(Lanes n) {
  const __m512i biased = _mm512_add_epi32(_mm512_cvttps_epi32(n.v), _mm512_set1_epi32(127));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(biased, 23))};
}
[[maybe_unused]] inline __m256 upper(__m512 a) { return _mm512_extractf32x8_ps(a, 1); }
[[maybe_unused]] inline float fold_sum(Lanes a) {
  const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(a.v), upper(a.v));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
// Two rows as eight sums each.
[[maybe_unused]] inline __m512 fold_to_eight(const float* a, const float* b) {
  const __m512 first = _mm512_load_ps(a), second = _mm512_load_ps(b);
  return _mm512_add_ps(_mm512_shuffle_f32x4(first, second, 0x44),
                       _mm512_shuffle_f32x4(first, second, 0xee));
}
// Rows t, t + 4, t + 8 and t + 12 as four sums each.
[[maybe_unused]] inline __m512 fold_to_four(const float (*rows)[16], int t) {
  const __m512 a = fold_to_eight(rows[t], rows[t + 4]);
  const __m512 b = fold_to_eight(rows[t + 8], rows[t + 12]);
  return _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xdd));
}
[[maybe_unused]] inline __m512 fold_to_two(__m512 a, __m512 b) {
  return _mm512_add_ps(_mm512_shuffle_ps(a, b, 0x44), _mm512_shuffle_ps(a, b, 0xee));
}
[[maybe_unused]] inline Lanes fold_sums(const float (*rows)[16]) {
  const __m512 a = fold_to_two(fold_to_four(rows, 0), fold_to_four(rows, 1));
  const __m512 b = fold_to_two(fold_to_four(rows, 2), fold_to_four(rows, 3));
  return {_mm512_add_ps(_mm512_shuffle_ps(a, b, 0x88), _mm512_shuffle_ps(a, b, 0xdd))};
}
[[maybe_unused]] inline float fold_max(Lanes a) {
  const __m256 eight = _mm256_max_ps(_mm512_castps512_ps256(a.v), upper(a.v));
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}
[[maybe_unused]] inline void store_transposed(const Lanes (&rows)[16], float* out,
                                              std::int64_t stride) {
  __m512 pairs[16], fours[16], eights[16];
  for (int i = 0; i < 16; i += 2) {
    pairs[i] = _mm512_unpacklo_ps(rows[i].v, rows[i + 1].v);
    pairs[i + 1] = _mm512_unpackhi_ps(rows[i].v, rows[i + 1].v);
  }
  // Columns c, c + 4, c + 8 and c + 12 of rows 4 i to 4 i + 3 lie in fours[4 i + c].
  for (int i = 0; i < 16; i += 4) {
    fours[i] = _mm512_shuffle_ps(pairs[i], pairs[i + 2], 0x44);
    fours[i + 1] = _mm512_shuffle_ps(pairs[i], pairs[i + 2], 0xee);
    fours[i + 2] = _mm512_shuffle_ps(pairs[i + 1], pairs[i + 3], 0x44);
    fours[i + 3] = _mm512_shuffle_ps(pairs[i + 1], pairs[i + 3], 0xee);
  }
  // Of eight rows: columns c and c + 8 in eights[c], c + 4 and c + 12 in eights[4 + c].
  for (int half = 0; half < 16; half += 8) {
    for (int c = 0; c < 4; ++c) {
      eights[half + c] = _mm512_shuffle_f32x4(fours[half + c], fours[half + 4 + c], 0x88);
      eights[half + 4 + c] = _mm512_shuffle_f32x4(fours[half + c], fours[half + 4 + c], 0xdd);
    }
  }
  for (int c = 0; c < 8; ++c) {
    _mm512_storeu_ps(out + c * stride, _mm512_shuffle_f32x4(eights[c], eights[8 + c], 0x88));
    _mm512_storeu_ps(out + (8 + c) * stride, _mm512_shuffle_f32x4(eights[c], eights[8 + c], 0xdd));
  }
}

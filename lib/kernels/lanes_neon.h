// Sixteen f32 lanes in four NEON registers; see lanes_scalar.h for the meaning.

struct Lanes {
  float32x4_t v[4];
};

#define LANES_EACH(expression)                         \
  Lanes out;                                           \
  for (int i = 0; i < 4; ++i) out.v[i] = (expression); \
  return out

[[maybe_unused]] inline Lanes set1(float x) { LANES_EACH(vdupq_n_f32(x)); }
[[maybe_unused]] inline Lanes load(const float* p) { LANES_EACH(vld1q_f32(p + 4 * i)); }
[[maybe_unused]] inline Lanes load_part(const float* p, int n) {
  float whole[16] = {};
  for (int i = 0; i < n; ++i) whole[i] = p[i];
  return load(whole);
}
[[maybe_unused]] inline Lanes load_even(const float* p, int n) {
  float whole[16] = {};
  for (int i = 0; i < n; ++i) whole[i] = p[2 * i];
  return load(whole);
}
[[maybe_unused]] inline Lanes load_lanes_apart(const float* p, std::ptrdiff_t step,
                                               std::uint16_t lanes, Lanes other) {
  float whole[16];
  for (int i = 0; i < 4; ++i) vst1q_f32(whole + 4 * i, other.v[i]);
  for (int i = 0; i < 16; ++i) {
    if ((lanes >> i & 1) != 0) whole[i] = p[i * step];
  }
  return load(whole);
}
[[maybe_unused]] inline Lanes load_lanes(const float* p, std::uint16_t lanes, Lanes other) {
  return lanes == 0xffff ? load(p) : load_lanes_apart(p, 1, lanes, other);
}
[[maybe_unused]] inline Lanes load_even_lanes(const float* p, std::uint16_t lanes, Lanes other) {
  return load_lanes_apart(p, 2, lanes, other);
}
struct Pairs {
  Lanes even, odd;
};
[[maybe_unused]] inline Pairs load_pairs(const float* p, std::uint32_t inside, Lanes other) {
  float whole[32];
  if (inside != 0xffffffffu) {
    for (int i = 0; i < 4; ++i) vst2q_f32(whole + 8 * i, {{other.v[i], other.v[i]}});
    for (int i = 0; i < 32; ++i) {
      if ((inside >> i & 1) != 0) whole[i] = p[i];
    }
    p = whole;
  }
  Pairs out;
  for (int i = 0; i < 4; ++i) {
    const float32x4x2_t both = vld2q_f32(p + 8 * i);
    out.even.v[i] = both.val[0];
    out.odd.v[i] = both.val[1];
  }
  return out;
}
[[maybe_unused]] inline Lanes load_f16(const std::uint16_t* p) {
  LANES_EACH(vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p + 4 * i))));
}
[[maybe_unused]] inline Lanes load_bf16(const std::uint16_t* p) {
  LANES_EACH(vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p + 4 * i), 16)));
}
[[maybe_unused]] inline Lanes load_i8(const std::int8_t* p) {
  const int8x16_t bytes = vld1q_s8(p);
  const int16x8_t low = vmovl_s8(vget_low_s8(bytes)), high = vmovl_s8(vget_high_s8(bytes));
  return {{vcvtq_f32_s32(vmovl_s16(vget_low_s16(low))),
           vcvtq_f32_s32(vmovl_s16(vget_high_s16(low))),
           vcvtq_f32_s32(vmovl_s16(vget_low_s16(high))),
           vcvtq_f32_s32(vmovl_s16(vget_high_s16(high)))}};
}
// Eight bytes of codes of 4 bits, the low halves first.
[[maybe_unused]] inline Lanes load_u4(const std::uint8_t* p) {
  const uint8x8_t bytes = vld1_u8(p);
  const uint16x8_t low = vmovl_u8(vand_u8(bytes, vdup_n_u8(15)));
  const uint16x8_t high = vmovl_u8(vshr_n_u8(bytes, 4));
  return {{vcvtq_f32_u32(vmovl_u16(vget_low_u16(low))),
           vcvtq_f32_u32(vmovl_u16(vget_high_u16(low))),
           vcvtq_f32_u32(vmovl_u16(vget_low_u16(high))),
           vcvtq_f32_u32(vmovl_u16(vget_high_u16(high)))}};
}
[[maybe_unused]] inline void store(float* p, Lanes a) {
  for (int i = 0; i < 4; ++i) vst1q_f32(p + 4 * i, a.v[i]);
}
[[maybe_unused]] inline void store_part(float* p, Lanes a, int n) {
  float whole[16];
  store(whole, a);
  for (int i = 0; i < n; ++i) p[i] = whole[i];
}
[[maybe_unused]] inline Lanes add(Lanes a, Lanes b) { LANES_EACH(vaddq_f32(a.v[i], b.v[i])); }
[[maybe_unused]] inline Lanes sub(Lanes a, Lanes b) { LANES_EACH(vsubq_f32(a.v[i], b.v[i])); }
[[maybe_unused]] inline Lanes mul(Lanes a, Lanes b) { LANES_EACH(vmulq_f32(a.v[i], b.v[i])); }
[[maybe_unused]] inline Lanes div(Lanes a, Lanes b) { LANES_EACH(vdivq_f32(a.v[i], b.v[i])); }
[[maybe_unused]] inline Lanes fma(Lanes a, Lanes b, Lanes c) {
  LANES_EACH(vfmaq_f32(c.v[i], a.v[i], b.v[i]));
}
// vmaxq spreads NaN where the other machines' instructions take the second operand.
[[maybe_unused]] inline Lanes max(Lanes a, Lanes b) {
  LANES_EACH(vbslq_f32(vcgtq_f32(a.v[i], b.v[i]), a.v[i], b.v[i]));
}
[[maybe_unused]] inline Lanes min(Lanes a, Lanes b) {
  LANES_EACH(vbslq_f32(vcltq_f32(a.v[i], b.v[i]), a.v[i], b.v[i]));
}
[[maybe_unused]] inline Lanes sqrt(Lanes a) { LANES_EACH(vsqrtq_f32(a.v[i])); }
[[maybe_unused]] inline Lanes round(Lanes a) { LANES_EACH(vrndnq_f32(a.v[i])); }
[[maybe_unused]] inline Lanes abs(Lanes a) { LANES_EACH(vabsq_f32(a.v[i])); }
[[maybe_unused]] inline Lanes copy_sign(Lanes a, Lanes s) {
  LANES_EACH(vbslq_f32(vdupq_n_u32(0x80000000u), s.v[i], a.v[i]));
}
[[maybe_unused]] inline Lanes select_less(Lanes a, Lanes b, Lanes yes, Lanes no) {
  LANES_EACH(vbslq_f32(vcltq_f32(a.v[i], b.v[i]), yes.v[i], no.v[i]));
}
[[maybe_unused]] inline Lanes select_number(Lanes a, Lanes yes, Lanes no) {
  LANES_EACH(vbslq_f32(vceqq_f32(a.v[i], a.v[i]), yes.v[i], no.v[i]));
}
[[maybe_unused]] inline Lanes exp2_whole(Lanes n) {
  LANES_EACH(
      vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vcvtq_s32_f32(n.v[i]), vdupq_n_s32(127)), 23)));
}
[[maybe_unused]] inline float fold_sum(Lanes a) {
  const float32x4_t low = vaddq_f32(a.v[0], a.v[2]), high = vaddq_f32(a.v[1], a.v[3]);
  const float32x4_t four = vaddq_f32(low, high);
  const float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
  return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}
[[maybe_unused]] inline float32x4_t fold_to_four(const float* row) {
  return vaddq_f32(vaddq_f32(vld1q_f32(row), vld1q_f32(row + 8)),
                   vaddq_f32(vld1q_f32(row + 4), vld1q_f32(row + 12)));
}
// Two rows as two sums each.
[[maybe_unused]] inline float32x4_t fold_to_two(const float* a, const float* b) {
  const float32x4_t first = fold_to_four(a), second = fold_to_four(b);
  return vaddq_f32(vcombine_f32(vget_low_f32(first), vget_low_f32(second)),
                   vcombine_f32(vget_high_f32(first), vget_high_f32(second)));
}
[[maybe_unused]] inline Lanes fold_sums(const float (*rows)[16]) {
  Lanes out;
  for (int i = 0; i < 4; ++i) {
    out.v[i] = vpaddq_f32(fold_to_two(rows[4 * i], rows[4 * i + 1]),
                          fold_to_two(rows[4 * i + 2], rows[4 * i + 3]));
  }
  return out;
}
[[maybe_unused]] inline float fold_max(Lanes a) {
  float v[16];
  store(v, a);
  for (int width = 8; width > 0; width /= 2) {
    for (int i = 0; i < width; ++i) v[i] = v[i] > v[i + width] ? v[i] : v[i + width];
  }
  return v[0];
}
// Four rows' vectors `part` as four columns.
[[maybe_unused]] inline void store_four_columns(const Lanes* rows, int part, float* out,
                                                std::int64_t stride) {
  const float32x4x2_t a = vtrnq_f32(rows[0].v[part], rows[1].v[part]);
  const float32x4x2_t b = vtrnq_f32(rows[2].v[part], rows[3].v[part]);
  for (int odd = 0; odd < 2; ++odd) {
    vst1q_f32(out + odd * stride, vcombine_f32(vget_low_f32(a.val[odd]), vget_low_f32(b.val[odd])));
    vst1q_f32(out + (2 + odd) * stride,
              vcombine_f32(vget_high_f32(a.val[odd]), vget_high_f32(b.val[odd])));
  }
}
[[maybe_unused]] inline void store_transposed(const Lanes (&rows)[16], float* out,
                                              std::int64_t stride) {
  for (int part = 0; part < 4; ++part)
    for (int r = 0; r < 16; r += 4)
      store_four_columns(rows + r, part, out + 4 * part * stride + r, stride);
}
#undef LANES_EACH

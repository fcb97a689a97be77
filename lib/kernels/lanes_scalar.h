// Sixteen f32 lanes in plain C++: the meaning that the other lanes_*.h must match bit for bit.
// Included inside an anonymous namespace of one ISA's source file, so that every function has
// internal linkage.

struct Lanes {
  float v[16];
};

#define LANES_EACH(expression)                          \
  Lanes out;                                            \
  for (int i = 0; i < 16; ++i) out.v[i] = (expression); \
  return out

[[maybe_unused]] inline Lanes set1(float x) { LANES_EACH(x); }
[[maybe_unused]] inline Lanes load(const float* p) { LANES_EACH(p[i]); }
[[maybe_unused]] inline Lanes load_part(const float* p, int n) { LANES_EACH(i < n ? p[i] : 0.0f); }
// The first n (1 to 16) of p[0], p[2], ...; what lies behind the last isn't read.
[[maybe_unused]] inline Lanes load_even(const float* p, int n) {
  LANES_EACH(i < n ? p[2 * i] : 0.0f);
}
// p[l] in the lanes l that are bits of `lanes`, and `other` elsewhere; nothing else is read.
[[maybe_unused]] inline Lanes load_lanes(const float* p, std::uint16_t lanes, Lanes other) {
  LANES_EACH((lanes >> i & 1) != 0 ? p[i] : other.v[i]);
}
// The same of p[2 l].
[[maybe_unused]] inline Lanes load_even_lanes(const float* p, std::uint16_t lanes, Lanes other) {
  LANES_EACH((lanes >> i & 1) != 0 ? p[2 * i] : other.v[i]);
}
// p[2 l] and p[2 l + 1]. Of the 32 elements those are read that are bits of `inside`; `other`
// stands for the rest.
struct Pairs {
  Lanes even, odd;
};
[[maybe_unused]] inline Pairs load_pairs(const float* p, std::uint32_t inside, Lanes other) {
  Pairs out;
  for (int i = 0; i < 16; ++i) {
    out.even.v[i] = (inside >> 2 * i & 1) != 0 ? p[2 * i] : other.v[i];
    out.odd.v[i] = (inside >> 2 * i & 2) != 0 ? p[2 * i + 1] : other.v[i];
  }
  return out;
}
[[maybe_unused]] inline Lanes load_f16(const std::uint16_t* p) {
  LANES_EACH(thimble::half_to_float(p[i]));
}
[[maybe_unused]] inline Lanes load_bf16(const std::uint16_t* p) {
  LANES_EACH(thimble::bfloat_to_float(p[i]));
}
[[maybe_unused]] inline Lanes load_i8(const std::int8_t* p) {
  LANES_EACH(static_cast<float>(p[i]));
}
// Eight bytes of codes of 4 bits, the low halves first.
[[maybe_unused]] inline Lanes load_u4(const std::uint8_t* p) {
  LANES_EACH(static_cast<float>(i < 8 ? p[i] & 15 : p[i - 8] >> 4));
}
[[maybe_unused]] inline void store(float* p, Lanes a) {
  for (int i = 0; i < 16; ++i) p[i] = a.v[i];
}
[[maybe_unused]] inline void store_part(float* p, Lanes a, int n) {
  for (int i = 0; i < n; ++i) p[i] = a.v[i];
}
[[maybe_unused]] inline Lanes add(Lanes a, Lanes b) { LANES_EACH(a.v[i] + b.v[i]); }
[[maybe_unused]] inline Lanes sub(Lanes a, Lanes b) { LANES_EACH(a.v[i] - b.v[i]); }
[[maybe_unused]] inline Lanes mul(Lanes a, Lanes b) { LANES_EACH(a.v[i] * b.v[i]); }
[[maybe_unused]] inline Lanes div(Lanes a, Lanes b) { LANES_EACH(a.v[i] / b.v[i]); }
[[maybe_unused]] inline Lanes fma(Lanes a, Lanes b, Lanes c) {
  LANES_EACH(std::fma(a.v[i], b.v[i], c.v[i]));
}
[[maybe_unused]] inline Lanes max(Lanes a, Lanes b) {
  LANES_EACH(a.v[i] > b.v[i] ? a.v[i] : b.v[i]);
}
[[maybe_unused]] inline Lanes min(Lanes a, Lanes b) {
  LANES_EACH(a.v[i] < b.v[i] ? a.v[i] : b.v[i]);
}
[[maybe_unused]] inline Lanes sqrt(Lanes a) { LANES_EACH(std::sqrt(a.v[i])); }
[[maybe_unused]] inline Lanes round(Lanes a) { LANES_EACH(std::nearbyintf(a.v[i])); }
[[maybe_unused]] inline Lanes abs(Lanes a) {
  LANES_EACH(std::bit_cast<float>(std::bit_cast<std::uint32_t>(a.v[i]) & 0x7fffffffu));
}
// `a`'s magnitude with `s`'s sign.
[[maybe_unused]] inline Lanes copy_sign(Lanes a, Lanes s) {
  LANES_EACH(std::bit_cast<float>((std::bit_cast<std::uint32_t>(a.v[i]) & 0x7fffffffu) |
                                  (std::bit_cast<std::uint32_t>(s.v[i]) & 0x80000000u)));
}
[[maybe_unused]] inline Lanes select_less(Lanes a, Lanes b, Lanes yes, Lanes no) {
  LANES_EACH(a.v[i] < b.v[i] ? yes.v[i] : no.v[i]);
}
// a where a is a number, else b's lane.
[[maybe_unused]] inline Lanes select_number(Lanes a, Lanes yes, Lanes no) {
  LANES_EACH(a.v[i] == a.v[i] ? yes.v[i] : no.v[i]);
}
// 2^n for whole n in -126..127.
[[maybe_unused]] inline Lanes exp2_whole(Lanes n) {
  LANES_EACH(std::bit_cast<float>(
      static_cast<std::uint32_t>(static_cast<std::int32_t>(n.v[i]) + 127) << 23));
}
[[maybe_unused]] inline float fold_sum(Lanes a) {
  for (int width = 8; width > 0; width /= 2) {
    for (int i = 0; i < width; ++i) a.v[i] = a.v[i] + a.v[i + width];
  }
  return a.v[0];
}
// fold_sum of each of sixteen.
[[maybe_unused]] inline Lanes fold_sums(const float (*rows)[16]) {
  LANES_EACH(fold_sum(load(rows[i])));
}
[[maybe_unused]] inline float fold_max(Lanes a) {
  for (int width = 8; width > 0; width /= 2) {
    for (int i = 0; i < width; ++i) a.v[i] = a.v[i] > a.v[i + width] ? a.v[i] : a.v[i + width];
  }
  return a.v[0];
}
// Lane l of rows[r] to out[l * stride + r].
[[maybe_unused]] inline void store_transposed(const Lanes (&rows)[16], float* out,
                                              std::int64_t stride) {
  for (int l = 0; l < 16; ++l)
    for (int r = 0; r < 16; ++r) out[l * stride + r] = rows[r].v[l];
}
#undef LANES_EACH

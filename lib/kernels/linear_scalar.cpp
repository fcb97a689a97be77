// The reference that every other variant equals bit for bit.

#include <bit>
#include <cmath>
#include <cstdint>

#include "kernels/linear.h"
#include "support/half.h"

#ifndef THIMBLE_FORCE_INLINE
#define THIMBLE_FORCE_INLINE inline  // small rather than fast
#endif

namespace thimble::kernels {
namespace {

#include "kernels/lanes_scalar.h"

constexpr int kTokens = 1, kDenseTokens = 1, kDenseOutputs = 1, kMatmulRows = 1;
constexpr int kBlockedOutputs = 1, kBlockedVectors = 1;
constexpr std::int32_t kCodeBias = 0;
constexpr int kRun(int) { return 8; }

struct Codes {
  std::uint8_t bytes[512];
};
struct Sums {
  std::int32_t v[16];
};

// Adds the bits of one plane to the codes, `shift` bits up.
inline void unpack_plane(const std::uint8_t* from, int plane, int shift, Codes& codes) {
  for (int quad = 0; quad < 8; ++quad) {
    for (int i = 0; i < 64; ++i) {
      const int bits = from[quad % plane * 64 + i] >> (quad / plane * plane) & ((1 << plane) - 1);
      codes.bytes[quad * 64 + i] =
          static_cast<std::uint8_t>(codes.bytes[quad * 64 + i] | bits << shift);
    }
  }
}
template <int BITS>
inline Codes unpack(const std::uint8_t* block) {
  Codes codes = {};
  if constexpr (BITS == 8) {
    unpack_plane(block, 8, 0, codes);
  } else {
    if constexpr ((BITS & 4) != 0) unpack_plane(block, 4, 0, codes);
    if constexpr ((BITS & 2) != 0) unpack_plane(block + (BITS & 4) * 64, 2, BITS & 4, codes);
    if constexpr ((BITS & 1) != 0) unpack_plane(block + (BITS & 6) * 64, 1, BITS & 6, codes);
  }
  return codes;
}
inline Codes lookup(const Codes& codes, const std::int8_t* table) {
  Codes out;
  for (int i = 0; i < 512; ++i)
    out.bytes[i] = static_cast<std::uint8_t>(table[codes.bytes[i]] + 128);
  return out;
}
inline Sums broadcast(std::int32_t x) {
  Sums out;
  for (int r = 0; r < 16; ++r) out.v[r] = x;
  return out;
}
template <int RUN, int QUADS, int TOKENS>
inline void dot(const Codes& codes, int first, const std::int8_t* q, Sums (&sums)[TOKENS]) {
  for (int t = 0; t < TOKENS; ++t) {
    for (int i = 4 * first; i < 4 * (first + QUADS); ++i) {
      for (int r = 0; r < 16; ++r)
        sums[t].v[r] += codes.bytes[i / 4 * 64 + 4 * r + i % 4] * q[t * kBlock + i];
    }
  }
}
inline Sums widen(const std::uint8_t* points) {
  Sums out;
  for (int r = 0; r < 16; ++r) out.v[r] = points[r];
  return out;
}
inline Sums bits_of(Sums sums, int shift, int mask) {
  for (int r = 0; r < 16; ++r) sums.v[r] = sums.v[r] >> shift & mask;
  return sums;
}
inline Sums subtract_products(Sums sums, const Sums& points, std::int32_t sum) {
  for (int r = 0; r < 16; ++r) sums.v[r] -= points.v[r] * sum;
  return sums;
}
inline Lanes to_float(Sums sums) {
  Lanes out;
  for (int r = 0; r < 16; ++r) out.v[r] = static_cast<float>(sums.v[r]);
  return out;
}

inline Lanes input_codes(const Codes& codes, int input) {
  Lanes out;
  for (int r = 0; r < 16; ++r) out.v[r] = codes.bytes[input / 4 * 64 + 4 * r + input % 4];
  return out;
}
inline void store_i8(std::int8_t* out, Lanes whole) {
  for (int i = 0; i < 16; ++i) out[i] = static_cast<std::int8_t>(whole.v[i]);
}

#include "kernels/linear.inc"

}  // namespace

extern const LinearKernels kLinearScalar;
const LinearKernels kLinearScalar = {Isa::kScalar, quantize_rows, quantize_rows_at,
                                     grouped_int8, grouped_f32,   dense,
                                     pack_rows,    dense_packed,  matmul};

}  // namespace thimble::kernels

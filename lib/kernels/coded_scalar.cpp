// The reference that every other variant equals bit for bit.

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "kernels/coded.h"
#include "support/half.h"

namespace thimble::kernels {
namespace {

#include "kernels/lanes_scalar.h"

constexpr bool kFourCodes = false;
constexpr int kCodedTiles = 1, kCodedTokens = 4;

struct Sums {
  std::int32_t v[16];
};
inline Sums no_sums() { return {}; }
inline Sums load_sums(const std::int32_t* p) {
  Sums out;
  for (int i = 0; i < 16; ++i) out.v[i] = p[i];
  return out;
}
inline Sums add(Sums a, Sums b) {
  // Offsets are a file's: a sum wraps around as those of registers do.
  for (int i = 0; i < 16; ++i) {
    a.v[i] = static_cast<std::int32_t>(static_cast<std::uint32_t>(a.v[i]) +
                                       static_cast<std::uint32_t>(b.v[i]));
  }
  return a;
}
inline Sums subtract_scaled(Sums sums, Sums by, std::int32_t scale) {
  for (int i = 0; i < 16; ++i) {
    sums.v[i] = static_cast<std::int32_t>(static_cast<std::uint32_t>(sums.v[i]) -
                                          static_cast<std::uint32_t>(by.v[i]) *
                                              static_cast<std::uint32_t>(scale));
  }
  return sums;
}
inline Sums add_products(Sums sums, const std::uint8_t* x, const std::int8_t* w) {
  for (int i = 0; i < 16; ++i) sums.v[i] += x[i] * w[i];
  return sums;
}
inline Lanes to_float(Sums sums) {
  Lanes out;
  for (int i = 0; i < 16; ++i) out.v[i] = static_cast<float>(sums.v[i]);
  return out;
}
inline Lanes load_u8(const std::uint8_t* p) {
  Lanes out;
  for (int i = 0; i < 16; ++i) out.v[i] = p[i];
  return out;
}
inline void store_u8(std::uint8_t* out, Lanes whole) {
  for (int i = 0; i < 16; ++i) out[i] = static_cast<std::uint8_t>(whole.v[i]);
}
template <int TILES, int TOKENS>
inline void products(const std::int8_t* w, std::int64_t tile_bytes, std::int64_t quads,
                     const std::uint8_t* x, std::int64_t stride, Sums (&sums)[TILES][TOKENS]) {
  for (int tile = 0; tile < TILES; ++tile, w += tile_bytes) {
    for (int t = 0; t < TOKENS; ++t) {
      sums[tile][t] = no_sums();
      for (std::int64_t k = 0; k < 4 * quads; ++k) {
        for (int r = 0; r < 16; ++r)
          sums[tile][t].v[r] += w[k / 4 * 64 + 4 * r + k % 4] * x[t * stride + k];
      }
    }
  }
}

#include "kernels/coded.inc"

}  // namespace

extern const CodedKernels kCodedScalar;
const CodedKernels kCodedScalar = {Isa::kScalar,  multiply_codes, multiply_floats,
                                   taps_of_codes, most_codes,     mix_codes,
                                   encode_codes,  decode_codes,   widen_range_of};

}  // namespace thimble::kernels

#pragma once
// Eight rows of eight bytes, turned.

#include <cstdint>
#include <cstring>

namespace thimble::runtime {

// Exchanges the bits of b that lie in the mask with those of a, `shift` above.
inline void exchange(std::uint64_t& a, std::uint64_t& b, int shift, std::uint64_t mask) {
  const std::uint64_t moved = (a >> shift ^ b) & mask;
  b ^= moved;
  a ^= moved << shift;
}

// 8 x 8 bytes, element [i][j] to [j][i]: exchanges halves, then quarters, then eighths. Without
// loops, so that all rows stay in registers.
inline void transpose_bytes(std::uint64_t (&r)[8]) {
  constexpr std::uint64_t kHalves = 0x00000000ffffffffull, kQuarters = 0x0000ffff0000ffffull,
                          kEighths = 0x00ff00ff00ff00ffull;
  exchange(r[0], r[4], 32, kHalves);
  exchange(r[1], r[5], 32, kHalves);
  exchange(r[2], r[6], 32, kHalves);
  exchange(r[3], r[7], 32, kHalves);
  exchange(r[0], r[2], 16, kQuarters);
  exchange(r[1], r[3], 16, kQuarters);
  exchange(r[4], r[6], 16, kQuarters);
  exchange(r[5], r[7], 16, kQuarters);
  exchange(r[0], r[1], 8, kEighths);
  exchange(r[2], r[3], 8, kEighths);
  exchange(r[4], r[5], 8, kEighths);
  exchange(r[6], r[7], 8, kEighths);
}

// Eight bytes in most cases: without a call.
inline void copy_few(const std::uint8_t* from, std::int64_t count, std::uint8_t* to) {
  if (count == 8) {
    std::memcpy(to, from, 8);
  } else {
    for (std::int64_t i = 0; i < count; ++i) to[i] = from[i];
  }
}

}  // namespace thimble::runtime

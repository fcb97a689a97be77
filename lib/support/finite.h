#pragma once
// Are floats finite? As fast as memory gives them, where the including file is compiled to
// vectorise loops.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>

namespace thimble {

// Of floats of these bits, f32 in std::uint32_t or f16 and bf16 in std::uint16_t: `one` is 1 in the
// exponent. An exponent of ones carries into the sign.
template <class Bits>
bool all_finite(std::span<const std::byte> bytes, Bits one) {
  constexpr Bits kMagnitude = std::numeric_limits<Bits>::max() >> 1;
  Bits any = 0;
  for (std::size_t i = 0; i + sizeof(Bits) <= bytes.size(); i += sizeof(Bits)) {
    Bits bits;
    std::memcpy(&bits, bytes.data() + i, sizeof(Bits));
    any = static_cast<Bits>(any | ((bits & kMagnitude) + one));
  }
  return any <= kMagnitude;
}

inline bool all_finite(std::span<const float> values) {
  return all_finite<std::uint32_t>(std::as_bytes(values), 1u << 23);
}

}  // namespace thimble

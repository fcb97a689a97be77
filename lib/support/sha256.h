#pragma once
// SHA-256 (FIPS 180-4), for digests that other programs print too. Digests of our own are hash.h's,
// which are ten times as fast.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace thimble {

class Sha256 {
 public:
  void update(std::span<const std::byte> bytes);
  std::string hex() const;  // of what came so far, in lower case as `sha256sum` prints it

 private:
  void block(const std::byte* bytes);

  std::array<std::uint32_t, 8> state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                         0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<std::byte, 64> pending_{};
  std::uint64_t size_ = 0;
};

}  // namespace thimble

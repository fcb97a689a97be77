#pragma once
// XXH3-128 digests: of segments, files and fingerprints. Not for signatures.

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace thimble {

struct Digest {
  std::array<std::uint8_t, 16> bytes{};
  bool operator==(const Digest&) const = default;
  std::string hex() const;
};

Digest digest_of(std::span<const std::byte> bytes);
Digest digest_of(std::string_view text);

class Hasher {  // the same digest, in pieces
 public:
  Hasher();
  ~Hasher();
  Hasher(const Hasher&) = delete;
  Hasher& operator=(const Hasher&) = delete;
  void update(std::span<const std::byte> bytes);
  void update(std::string_view text);
  Digest finish() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace thimble

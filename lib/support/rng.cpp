#include "support/rng.h"

#include <bit>
#include <cmath>

#include "support/hash.h"
#include "support/math.h"

namespace thimble {
namespace {

std::uint64_t splitmix64(std::uint64_t& state) {
  state += 0x9e3779b97f4a7c15u;
  std::uint64_t z = state;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

std::uint64_t load_u64(const std::uint8_t* bytes) {
  std::uint64_t value = 0;
  for (int i = 0; i < 8; ++i) value |= static_cast<std::uint64_t>(bytes[i]) << (8 * i);
  return value;
}

}  // namespace

// Without a stream the state is the generator's customary one: four splitmix64 outputs from the
// seed. A stream's name is digested and folded into both the seed and the state, 64 bits each.
Rng::Rng(std::uint64_t seed, std::string_view stream) {
  std::uint64_t state = seed;
  std::uint64_t fold = 0;
  if (!stream.empty()) {
    const Digest digest = digest_of(stream);
    state = splitmix64(state) ^ load_u64(digest.bytes.data());
    fold = load_u64(digest.bytes.data() + 8);
  }
  for (std::uint64_t& word : s_) word = splitmix64(state);
  s_[3] ^= fold;
  if ((s_[0] | s_[1] | s_[2] | s_[3]) == 0) s_[0] = 1;  // the one state that never leaves itself
}

std::uint64_t Rng::next() {
  const std::uint64_t result = std::rotl(s_[1] * 5, 7) * 9;
  const std::uint64_t t = s_[1] << 17;
  s_[2] ^= s_[0];
  s_[3] ^= s_[1];
  s_[1] ^= s_[2];
  s_[0] ^= s_[3];
  s_[2] ^= t;
  s_[3] = std::rotl(s_[3], 45);
  return result;
}

// Multiply-shift with rejection (Lemire, "Fast random integer generation in an interval", 2019).
std::uint64_t Rng::below(std::uint64_t bound) {
  unsigned __int128 product = static_cast<unsigned __int128>(next()) * bound;
  if (static_cast<std::uint64_t>(product) < bound) {
    const std::uint64_t threshold = (0 - bound) % bound;  // 2^64 mod bound
    while (static_cast<std::uint64_t>(product) < threshold) {
      product = static_cast<unsigned __int128>(next()) * bound;
    }
  }
  return static_cast<std::uint64_t>(product >> 64);
}

double Rng::uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }

double Rng::normal() {
  if (has_spare_) {
    has_spare_ = false;
    return spare_;
  }
  const double radius = std::sqrt(-2.0 * math::log(1.0 - uniform()));  // the argument is in (0, 1]
  const double angle = 0x1.921fb54442d18p+2 * uniform();               // 2 pi
  spare_ = radius * math::sin(angle);
  has_spare_ = true;
  return radius * math::cos(angle);
}

}  // namespace thimble

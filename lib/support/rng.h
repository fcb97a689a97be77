#pragma once
// Seeded randomness that is the same on every machine, keyed by name so that the order of use and
// the number of threads don't matter: Rng(seed, "model.layers.0.mlp.up_proj.weight").

#include <cstdint>
#include <string_view>

namespace thimble {

class Rng {  // xoshiro256** (Blackman, Vigna 2018), seeded by splitmix64
 public:
  explicit Rng(std::uint64_t seed, std::string_view stream = {});
  std::uint64_t next();                      // uniform over 64 bits
  std::uint64_t below(std::uint64_t bound);  // uniform in [0, bound), bound >= 1, unbiased
  double uniform();                          // [0, 1) with 53 bits
  double normal();                           // mean 0, variance 1 (Box-Muller with support/math)

 private:
  std::uint64_t s_[4];
  double spare_ = 0;
  bool has_spare_ = false;
};

}  // namespace thimble

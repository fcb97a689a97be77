#pragma once
// Weights as networks have them: near normal, with a few much larger ones.

#include <cmath>
#include <cstdint>
#include <vector>

#include "ir/encoding.h"
#include "support/rng.h"

namespace thimble::test {

inline std::vector<float> heavy_tailed(std::int64_t count, std::uint64_t seed) {
  Rng rng(seed, "weights");
  std::vector<float> out(static_cast<std::size_t>(count));
  for (float& w : out) {
    const double size = rng.uniform() < 0.01 ? 0.3 : 0.02;
    w = static_cast<float>(size * rng.normal() + 0.001);
  }
  return out;
}

inline ir::Encoding affine(int bits, std::int64_t group, ir::ZeroKind zero,
                           ir::DType scale = ir::DType::kF16) {
  ir::Encoding e;
  e.kind = ir::EncodingKind::kAffine;
  e.bits = bits;
  e.group_size = group;
  e.zero = zero;
  e.constant_zero = zero == ir::ZeroKind::kConstant ? 1 << (bits - 1) : 0;
  e.scale_type = scale;
  return e;
}

// What an encoding's streams mean, from its definition and in f64: an oracle for decoders and
// searches.
struct Group {
  double scale, zero, minimum;
  double value(int code) const { return scale * (code - zero) + minimum; }
};

}  // namespace thimble::test

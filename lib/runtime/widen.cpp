#include "runtime/widen.h"

#include <algorithm>

#include "support/half.h"

namespace thimble::runtime {

void widen(program::Type type, const void* from, std::int64_t count, float* to) {
  const auto* bits = static_cast<const std::uint16_t*>(from);
  if (type == program::Type::kF16) {
    std::transform(bits, bits + count, to, [](std::uint16_t h) { return half_to_float(h); });
  } else {
    std::transform(bits, bits + count, to, [](std::uint16_t b) { return bfloat_to_float(b); });
  }
}

}  // namespace thimble::runtime

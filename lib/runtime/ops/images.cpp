// Operators over images and sequences, listed.

#include "runtime/ops/ops.h"

namespace thimble::runtime {

std::span<const Operator> image_operators() { return {}; }

}  // namespace thimble::runtime

// Operators that select, scatter and make shapes, listed.

#include "runtime/ops/ops.h"

namespace thimble::runtime {

std::span<const Operator> selection_operators() { return {}; }

}  // namespace thimble::runtime

// Arithmetic: what nodes of these operators may look like.

#include "ir/ops/schema.h"
#include "ir/ops/shape_functions.h"

namespace thimble::ir {

std::vector<OpSchema> arithmetic_schemas() { return {}; }

}  // namespace thimble::ir

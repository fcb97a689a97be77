// Operators of arithmetic that are ONNX's own.

#include "runtime/ops/ops.h"

namespace thimble::runtime {

std::span<const Operator> arithmetic_operators() { return {}; }

}  // namespace thimble::runtime

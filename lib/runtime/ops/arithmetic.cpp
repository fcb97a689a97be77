// Operators of arithmetic, listed.

#include "runtime/ops/numbers.h"

namespace thimble::runtime {

std::span<const Operator> arithmetic_operators() {
  static const std::vector<Operator> kAll = join_families(
      {unary_operators, binary_operators, conversion_operators, quantizing_operators,
       reducing_operators, choosing_operators, softmax_operators, accumulating_operators,
       multiplying_operators, coded_products, einsum_operators});
  return kAll;
}

}  // namespace thimble::runtime

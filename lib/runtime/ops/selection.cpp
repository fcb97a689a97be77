// Operators that select, scatter and make shapes, listed.

#include "runtime/ops/selection.h"

namespace thimble::runtime {

std::span<const Operator> selection_operators() {
  static const std::vector<Operator> kAll = join_families(
      {relaying_operators, gathering_operators, scattering_operators, filling_operators,
       sorting_operators, attending_operators, rotating_operators, remembering_operators});
  return kAll;
}

}  // namespace thimble::runtime

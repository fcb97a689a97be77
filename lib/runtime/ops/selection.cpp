// Operators that select, scatter and make shapes, listed.

#include "runtime/ops/selection.h"

namespace thimble::runtime {

std::span<const Operator> selection_operators() {
  static const std::vector<Operator> kAll = [] {
    std::vector<Operator> all;
    for (const auto family :
         {relaying_operators, gathering_operators, scattering_operators, filling_operators,
          sorting_operators, attending_operators, rotating_operators, remembering_operators}) {
      const std::span<const Operator> some = family();
      all.insert(all.end(), some.begin(), some.end());
    }
    return all;
  }();
  return kAll;
}

}  // namespace thimble::runtime

// Control flow: what nodes of these operators may look like.

#include "ir/ops/schema.h"
#include "ir/ops/shape_functions.h"

namespace thimble::ir {

std::vector<OpSchema> control_schemas() {
  using K = AttributeKind;
  return {
      {"",
       "If",
       1,
       1,
       0,
       kAnyNumber,
       {{"else_branch", K::kGraph, true}, {"then_branch", K::kGraph, true}}},
      {"", "Loop", 0, kAnyNumber, 0, kAnyNumber, {{"body", K::kGraph, true}}},
      {"",
       "Scan",
       1,
       kAnyNumber,
       1,
       kAnyNumber,
       {{"body", K::kGraph, true},
        {"num_scan_inputs", K::kInteger, true},
        {"scan_input_axes", K::kIntegers},
        {"scan_input_directions", K::kIntegers},
        {"scan_output_axes", K::kIntegers},
        {"scan_output_directions", K::kIntegers}}},
  };
}

}  // namespace thimble::ir

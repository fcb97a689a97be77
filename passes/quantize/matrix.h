#pragma once
// A product's weight as a matrix in memory, for passes that look at all of it.

#include <vector>

#include "ir/weight.h"
#include "support/expected.h"

namespace thimble::passes {

// The weight as [rows, inputs] with its inputs along `axis` of its dims. Numbers that aren't finite
// are an error, as is a weight that is quantized along its other axis.
Expected<std::vector<float>> read_matrix(const ir::Weight& weight, int axis);

}  // namespace thimble::passes

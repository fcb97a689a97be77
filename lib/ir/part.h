#pragma once
// One slice of a tensor along its first axis as a weight of its own.

#include "ir/weight.h"

namespace thimble::ir {

// Slice `index` of a dense `whole` of two axes or more, 0 <= index < dims[0], without the first
// axis. It reads the whole's rows where they are; its name is the whole's and the index.
Weight part_of(const Weight& whole, std::int64_t index);

}  // namespace thimble::ir

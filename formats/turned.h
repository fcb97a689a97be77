#pragma once
// Matrices whose rows and inputs are exchanged on the way into a file.

#include "ir/weight.h"

namespace thimble::formats {

// [inputs, rows], computed on each use; of an encoded weight, its numbers in f32.
ir::Weight turned(const ir::Weight& weight);

}  // namespace thimble::formats

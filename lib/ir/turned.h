#pragma once
// Matrices whose rows and inputs are exchanged on their way into a file or a program.

#include "ir/weight.h"

namespace thimble::ir {

// [inputs, rows], computed on each use; of an encoded weight, its numbers in f32.
Weight turned(const Weight& weight);

}  // namespace thimble::ir

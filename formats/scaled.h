#pragma once
// Weights times a number, on the way into a file that has no other place for it.

#include "ir/weight.h"

namespace thimble::formats {

// Computed on each use. Encoded ones keep their codes. f32 is rounded; numbers of fewer bits that
// the product doesn't fit are an error. `f32`: dense ones become f32.
ir::Weight scaled(const ir::Weight& weight, float factor, bool f32);

}  // namespace thimble::formats

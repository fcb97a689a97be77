#pragma once
#include "pass/pass.h"

namespace thimble::passes {

pass::Registration constant_folding();

}  // namespace thimble::passes

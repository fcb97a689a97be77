#pragma once
#include "pass/pass.h"

namespace thimble::passes {

pass::Registration dead_code();

}  // namespace thimble::passes

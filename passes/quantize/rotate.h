#pragma once
#include "pass/pass.h"

namespace thimble::passes {

pass::Registration rotate();

}  // namespace thimble::passes

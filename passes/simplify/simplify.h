#pragma once

#include "pass/pass.h"

namespace thimble::passes {

pass::Registration simplify();

}  // namespace thimble::passes

#pragma once

#include "pass/pass.h"

namespace thimble::passes {

pass::Registration fold_branches();

}  // namespace thimble::passes

#pragma once

#include "pass/pass.h"

namespace thimble::passes {

pass::Registration fold_scales();

}  // namespace thimble::passes

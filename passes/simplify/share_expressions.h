#pragma once

#include "pass/pass.h"

namespace thimble::passes {

pass::Registration share_expressions();

}  // namespace thimble::passes

#pragma once

#include "pass/pass.h"

namespace thimble::passes {

pass::Registration fix_inputs();

}  // namespace thimble::passes

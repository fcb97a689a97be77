#pragma once
#include "pass/pass.h"

namespace thimble::passes {

pass::Registration convert_floats();

}  // namespace thimble::passes

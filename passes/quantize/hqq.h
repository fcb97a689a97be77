#pragma once
#include "pass/pass.h"

namespace thimble::passes {

pass::Registration hqq();

}  // namespace thimble::passes

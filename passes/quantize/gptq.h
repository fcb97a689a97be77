#pragma once
#include "pass/pass.h"

namespace thimble::passes {

pass::Registration gptq();

}  // namespace thimble::passes

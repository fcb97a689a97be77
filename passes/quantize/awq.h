#pragma once
#include "pass/pass.h"

namespace thimble::passes {

pass::Registration awq();

}  // namespace thimble::passes

#pragma once
#include "pass/pass.h"

namespace thimble::passes {

pass::Registration low_rank();

}  // namespace thimble::passes

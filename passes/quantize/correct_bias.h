#pragma once
#include "pass/pass.h"

namespace thimble::passes {

pass::Registration correct_bias();

}  // namespace thimble::passes

#pragma once
#include "pass/pass.h"

namespace thimble::passes {

pass::Registration smooth();

}  // namespace thimble::passes

#pragma once

#include "pass/pass.h"

namespace thimble::passes {

pass::Registration cancel_movement();

}  // namespace thimble::passes

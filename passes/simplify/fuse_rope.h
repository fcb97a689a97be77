#pragma once

#include "pass/pass.h"

namespace thimble::passes {

pass::Registration fuse_rope();

}  // namespace thimble::passes

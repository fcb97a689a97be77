#pragma once

#include "pass/pass.h"

namespace thimble::passes {

pass::Registration remove_identities();

}  // namespace thimble::passes

#pragma once

#include "pass/pass.h"

namespace thimble::passes {

pass::Registration quantize_activations();

}  // namespace thimble::passes

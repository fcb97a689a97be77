#pragma once
// What a pass offers to a budget for one weight.

#include <vector>

#include "passes/quantize/settings.h"

namespace thimble::passes {

// What the open settings can be, with the closed ones as they are: every width, group, zero, kind
// of scale and code that goes together. None of these is open any more.
std::vector<Settings> every_setting(const Settings& base, const ir::Weight& weight, int axis);

}  // namespace thimble::passes

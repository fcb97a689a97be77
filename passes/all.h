#pragma once
// Every pass that a recipe can name. The list is written out: nothing registers itself.

#include <span>
#include <string_view>

#include "pass/pass.h"

namespace thimble::passes {

std::span<const pass::Registration> all();
const pass::Registration* find(std::string_view name);

}  // namespace thimble::passes

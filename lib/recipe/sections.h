#pragma once
// What the sections of a recipe that are plain options may say: they share the checking that
// passes' options have.

#include <vector>

#include "pass/options.h"

namespace thimble::recipe {

const std::vector<pass::OptionInfo>& evaluate_options();
const std::vector<pass::OptionInfo>& calibrate_options();
const std::vector<pass::OptionInfo>& tune_options();
const std::vector<pass::OptionInfo>& budget_options();
const std::vector<pass::OptionInfo>& model_options();

}  // namespace thimble::recipe

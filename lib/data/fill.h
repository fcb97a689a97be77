#pragma once
// Inputs that are the same number in every call: "sr=16000,scale=0.5".

#include <string>
#include <vector>

#include "data/samples.h"

namespace thimble::data {

// An array for each input that `fill` names, of the sizes that the model fixes and 1 for others.
// Errors: a name that is no input, a number that the input's type cannot hold.
Expected<std::vector<Array>> filled_inputs(const std::string& fill,
                                           const std::vector<InputSpec>& inputs);

}  // namespace thimble::data

#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/tables.h"

namespace thimble::tokenizer {

// The text after every step, in order. Without steps the bytes stay as they are.
std::string normalize(std::string_view text, const std::vector<NormalizeStep>& steps);

}  // namespace thimble::tokenizer

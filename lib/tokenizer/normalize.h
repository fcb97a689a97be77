#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/pattern.h"
#include "tokenizer/tables.h"

namespace thimble::tokenizer {

// The text after every step, in order. Without steps the bytes stay as they are. `matchers`: one
// for each step, null unless it is a kReplacePattern.
std::string normalize(std::string_view text, const std::vector<NormalizeStep>& steps,
                      const std::vector<std::unique_ptr<PatternMatcher>>& matchers);

}  // namespace thimble::tokenizer

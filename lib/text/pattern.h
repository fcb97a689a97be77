#pragma once
// Regular expressions of tokenizers, by PCRE2 on the host. They are written for Oniguruma; where
// the two mean different things by a construct, it is rewritten, or refused by name.

#include <memory>
#include <string>

#include "tokenizer/pattern.h"

namespace thimble::text {

Expected<std::unique_ptr<tokenizer::PatternMatcher>> compile_pattern(const std::string& pattern);

// Lets every tokenizer of this process match regular expressions.
void use_patterns();

}  // namespace thimble::text

#pragma once
// Cutting text into the pieces that are tokenized on their own. The patterns that the well-known
// tokenizers use are scanners written by hand: a device needs no regular expressions.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/pattern.h"
#include "tokenizer/tables.h"

namespace thimble::tokenizer {

// Characters of a text with the byte where each starts; invalid bytes count as U+FFFD, one each.
struct Characters {
  explicit Characters(std::string_view text);
  std::vector<char32_t> code;
  std::vector<std::uint32_t> at;  // one more than characters: the last is the text's size
};

// Applies one step to every piece. `first`: the pieces start the whole text. `matcher`: of a
// kPattern or kLiteral step, which needs one.
std::vector<std::string> split(std::vector<std::string> pieces, const SplitStep& step, bool first,
                               const PatternMatcher* matcher);

}  // namespace thimble::tokenizer

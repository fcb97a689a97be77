#pragma once
// Cutting text at what a pattern matches: a plain text, or a regular expression. Regular
// expressions need a matcher that only a host has (lib/text/pattern.cpp): where none was set, a
// tokenizer that wants one is refused.

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/expected.h"
#include "tokenizer/tables.h"

namespace thimble::tokenizer {

class PatternMatcher {
 public:
  virtual ~PatternMatcher() = default;
  // [begin, end) of each match, in bytes, one after the other. Bytes that aren't UTF-8 never match.
  virtual std::vector<std::pair<std::size_t, std::size_t>> find_all(
      std::string_view text) const = 0;
};

using PatternCompiler = Expected<std::unique_ptr<PatternMatcher>> (*)(const std::string& pattern);
void set_pattern_compiler(PatternCompiler compiler);

// The matcher of a kPattern or kLiteral step; of a kReplacePattern step.
Expected<std::unique_ptr<PatternMatcher>> matcher_of(const SplitStep& step);
Expected<std::unique_ptr<PatternMatcher>> matcher_of(const NormalizeStep& step);

// A step whose text holds all three: two characters, then the pattern. `invert`: what the pattern
// does not match counts as the match.
SplitStep pattern_step(Split what, Behavior behavior, bool invert, std::string_view pattern);
bool is_pattern_step(const SplitStep& step);  // whole and in range

std::vector<std::string> split_at_matches(std::string_view piece, const SplitStep& step,
                                          const PatternMatcher& matcher);

}  // namespace thimble::tokenizer

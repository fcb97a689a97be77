#include "text/pattern.h"

#include "support/text.h"
#include "text/compile.h"
#include "tokenizer/tokenizer.h"
#include "unit/catch.h"

using namespace thimble;
using tokenizer::Behavior;
using tokenizer::Split;

namespace {

std::vector<std::string> cut(Split what, Behavior behavior, bool invert, const char* pattern,
                             const char* text) {
  const tokenizer::SplitStep step = tokenizer::pattern_step(what, behavior, invert, pattern);
  const auto matcher = tokenizer::matcher_of(step);
  if (!matcher) return {matcher.error().to_string()};
  return tokenizer::split_at_matches(text, step, **matcher);
}

using Pieces = std::vector<std::string>;

}  // namespace

TEST_CASE("what becomes of matches, as Hugging Face's Split has it") {
  const char* text = "the-final--countdown";
  const auto at_dash = [&](Behavior behavior, bool invert = false) {
    return cut(Split::kLiteral, behavior, invert, "-", text);
  };
  CHECK(at_dash(Behavior::kRemoved) == Pieces{"the", "final", "countdown"});
  CHECK(at_dash(Behavior::kIsolated) == Pieces{"the", "-", "final", "-", "-", "countdown"});
  CHECK(at_dash(Behavior::kMergedWithPrevious) == Pieces{"the-", "final-", "-", "countdown"});
  CHECK(at_dash(Behavior::kMergedWithNext) == Pieces{"the", "-final", "-", "-countdown"});
  CHECK(at_dash(Behavior::kContiguous) == Pieces{"the", "-", "final", "--", "countdown"});
  CHECK(at_dash(Behavior::kRemoved, true) == Pieces{"-", "-", "-"});
}

TEST_CASE("a regular expression needs a host") {
  tokenizer::set_pattern_compiler(nullptr);
  const Pieces refused = cut(Split::kPattern, Behavior::kIsolated, false, "a+", "baab");
  REQUIRE(refused.size() == 1);
  CHECK(refused[0].find("cuts text by the regular expression a+") != std::string::npos);
  text::use_patterns();
  CHECK(cut(Split::kPattern, Behavior::kIsolated, false, "a+", "baab") == Pieces{"b", "aa", "b"});
}

TEST_CASE("classes mean what Oniguruma means by them") {
  text::use_patterns();
  const auto matches = [](const char* pattern, const char* text) {
    return cut(Split::kPattern, Behavior::kRemoved, true, pattern, text);
  };
  // U+180E is white space in PCRE2 alone; U+0301 and U+203F are parts of words in Oniguruma alone.
  CHECK(matches(R"(\S+)",
                "a\xe1\xa0\x8e"
                "b c") == Pieces{"a\xe1\xa0\x8e"
                                 "b",
                                 "c"});
  CHECK(matches(R"([^\s]+)",
                "a\xe1\xa0\x8e"
                "b c") == Pieces{"a\xe1\xa0\x8e"
                                 "b",
                                 "c"});
  CHECK(matches(R"(\w+)",
                "e\xcc\x81-a\xe2\x80\xbf"
                "b") == Pieces{"e\xcc\x81",
                               "a\xe2\x80\xbf"
                               "b"});
  CHECK(matches(R"([\w-]+)", "e\xcc\x81-a b") == Pieces{"e\xcc\x81-a", "b"});
  CHECK(matches(R"([]x]+)", "a]x") == Pieces{"]x"});
  CHECK(matches(R"(\p{Lu}\p{Ll}*)", "FooBar") == Pieces{"Foo", "Bar"});
  CHECK(matches(R"(x*)", "axxb\xff") == Pieces{"xx"});  // empty matches, broken UTF-8
}

TEST_CASE("a pattern that can't be matched as it was meant is refused by name") {
  const std::pair<const char*, const char*> kCases[] = {
      {R"(\p{N}{1,3}+)", "'}+'"},         {R"(\bword)", "'\\b'"},     {R"([\W])", "'\\W'"},
      {R"([[:alpha:]])", "[ inside [ ]"}, {R"([a-z&&[^b]])", "'&&'"}, {"(", "is wrong"},
      {R"(a\)", "is not supported"}};
  for (const auto& [pattern, message] : kCases) {
    const auto compiled = text::compile_pattern(pattern);
    INFO(pattern);
    REQUIRE_FALSE(compiled.has_value());
    CHECK(compiled.error().to_string().find(message) != std::string::npos);
  }
}

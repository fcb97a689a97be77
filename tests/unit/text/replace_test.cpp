// tokenizer.json's normalizer Replace with a regular expression, against Hugging Face's tokenizers.

#include <nlohmann/json.hpp>

#include "text/compile.h"
#include "text/pattern.h"
#include "tokenizer/normalize.h"
#include "tokenizer/tokenizer.h"
#include "unit/catch.h"

using namespace thimble;

namespace {

Expected<tokenizer::Tables> replacing(const char* regex, const char* content) {
  const nlohmann::json json = {
      {"model", {{"type", "BPE"}, {"vocab", {{"a", 0}}}, {"merges", nlohmann::json::array()}}},
      {"normalizer", {{"type", "Replace"}, {"pattern", {{"Regex", regex}}}, {"content", content}}}};
  return text::compile_tokenizer_json(json.dump(), "tokenizer.json");
}

std::string replaced(const char* regex, const char* content, const char* text) {
  const auto tables = replacing(regex, content);
  if (!tables) return tables.error().to_string();
  std::vector<std::unique_ptr<tokenizer::PatternMatcher>> matchers(1);
  if (tables->normalizers[0].what == tokenizer::Normalize::kReplacePattern)
    matchers[0] = std::move(*tokenizer::matcher_of(tables->normalizers[0]));
  return tokenizer::normalize(text, tables->normalizers, matchers);
}

}  // namespace

TEST_CASE("matches are replaced as Hugging Face's tokenizers replace them") {
  text::use_patterns();
  const char* kCases[][4] = {
      {R"(\s+)", " ", " a\t\xe3\x80\x80 b\n\nc ", " a b c "},
      {R"(\s+)", "", "a b", "ab"},
      {R"(\s)", " ",
       "a\t\xc2\xa0"
       "b",
       "a  b"},
      {R"([!?\.])", "", " Hi! You? Yes.", " Hi You Yes"},
      {R"(``|'')", "\"", "``a''b", "\"a\"b"},
      {R"(^)", "_", "a\nb", "_a\n_b"},
      {R"($)", ".", "a\nb", "a.\nb."},
      {R"(x*)", "-", "axxb", "-a-b-"},
      {R"(x*)", "-", "xx", "-"},
      {R"(a|)", "-", "ba", "-b-"},
      {R"((?<=\d),(?=\d))", "", "1,234, 5", "1234, 5"},
      {R"( +)", " ", "a   b c", "a b c"},
      {R"((a)(b))", R"(\2$1)", "ab", R"(\2$1)"},
  };
  for (const auto& [regex, content, text, expected] : kCases) {
    CAPTURE(regex, text);
    CHECK(replaced(regex, content, text) == expected);
  }
}

TEST_CASE("a device replaces white space, and refuses another regular expression by name") {
  tokenizer::set_pattern_compiler(nullptr);
  CHECK(tokenizer::Tokenizer::create(*replacing(R"(\s+)", " ")));
  const auto refused = tokenizer::Tokenizer::create(*replacing("[ab]", " "));
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().to_string().find("the regular expression [ab]") != std::string::npos);
  text::use_patterns();
}

TEST_CASE("a Replace that can't be matched as it was meant is refused by name") {
  const auto refused = replacing(R"(\bword)", "");
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().message.find("'\\b'") != std::string::npos);
}

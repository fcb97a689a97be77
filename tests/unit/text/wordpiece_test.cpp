// vocab.txt with the options of BertTokenizer that change a text before it is cut.

#include "text/compile.h"
#include "tokenizer/tokenizer.h"
#include "unit/catch.h"

namespace thimble {
namespace {

using Ids = std::vector<std::int32_t>;

Ids ids_of(const std::string& config, const std::string& text) {
  const std::string vocabulary = "[UNK]\nOnce\nonce\ncaf\u00e9\ncafe\n\u4e2d\n\u4e2d\u6587\n";
  auto tables = text::compile_wordpiece({vocabulary, config}, "folder");
  REQUIRE(tables);
  const auto tokenizer = tokenizer::Tokenizer::create(*std::move(tables));
  REQUIRE(tokenizer);
  return tokenizer->encode(text);
}

TEST_CASE("vocab.txt takes texts as tokenizer_config.json says") {
  const std::string text = "Once caf\u00e9 \u4e2d\u6587";
  CHECK(ids_of("", text) == Ids{2, 4, 5, 0});
  CHECK(ids_of("{}", text) == Ids{2, 4, 5, 0});
  CHECK(ids_of(R"({"do_lower_case": false})", text) == Ids{1, 3, 5, 0});
  CHECK(ids_of(R"({"do_lower_case": false, "strip_accents": true})", text) == Ids{1, 4, 5, 0});
  CHECK(ids_of(R"({"strip_accents": false})", text) == Ids{2, 3, 5, 0});
  CHECK(ids_of(R"({"strip_accents": null, "tokenize_chinese_chars": false})", text) ==
        Ids{2, 4, 6});
}

TEST_CASE("a tokenizer_config.json that is none is refused in its name") {
  const auto tables = text::compile_wordpiece({"[UNK]\n", "{"}, "folder");
  REQUIRE(!tables);
  CHECK(tables.error().to_string().find("folder/tokenizer_config.json") != std::string::npos);
}

}  // namespace
}  // namespace thimble

// Tables of replacements: any bytes are safe, and a damaged table is refused.

#include "tokenizer/charsmap.h"

#include "support/rng.h"
#include "text/compile.h"
#include "tokenizer/unicode/unicode.h"
#include "unit/catch.h"

namespace thimble {
namespace {

std::string word(std::uint32_t value) {
  std::string out;
  for (int shift = 0; shift < 32; shift += 8) out += static_cast<char>(value >> shift & 0xff);
  return out;
}

TEST_CASE("a table of replacements says how large its trie is") {
  CHECK_FALSE(tokenizer::Charsmap::of(""));
  CHECK_FALSE(tokenizer::Charsmap::of(word(0) + word(0)));
  CHECK_FALSE(tokenizer::Charsmap::of(word(3) + word(0)));
  CHECK_FALSE(tokenizer::Charsmap::of(word(8) + word(0)));
  CHECK(tokenizer::Charsmap::of(word(4) + word(0)));
}

TEST_CASE("looking up in a trie of any bytes stays inside") {
  Rng rng(5);
  for (int round = 0; round < 2000; ++round) {
    std::string bytes = word(64);
    for (int i = 0; i < 20; ++i) {
      // Small offsets and labels of the text's own bytes, so that walks get somewhere.
      const auto label = static_cast<std::uint32_t>(rng.next() % 3 == 0 ? 'a' : rng.next() % 256);
      bytes += word(static_cast<std::uint32_t>(rng.next() % 200) << 10 |
                    static_cast<std::uint32_t>(rng.next() % 4) << 8 | label);
    }
    const auto map = tokenizer::Charsmap::of(bytes);
    REQUIRE(map);
    static_cast<void>(map->replace_clusters("aba\xcc\x81 \xff\xe2\x82\xac"));
    static_cast<void>(map->replace_longest("aba\xcc\x81 \xff\xe2\x82\xac"));
  }
}

TEST_CASE("grapheme clusters") {
  const auto clusters = [](std::u32string_view text) {
    std::size_t count = 0;
    for (std::size_t at = 0; at < text.size(); ++count) at = unicode::cluster_end(text, at);
    return count;
  };
  CHECK(clusters(U"ab") == 2);
  CHECK(clusters(U"\r\n") == 1);
  CHECK(clusters(U"\n\r") == 2);
  CHECK(clusters(U"e\u0301\u0302x") == 2);
  CHECK(clusters(U"\t\u0301") == 2);
  CHECK(clusters(U"\u06005") == 1);
  CHECK(clusters(U"a\u200d\u200c") == 1);
  CHECK(clusters(U"\u1000\u102b") == 2);
}

TEST_CASE("base64") {
  CHECK(text::base64_to_bytes("") == "");
  CHECK(text::base64_to_bytes("TWFu") == "Man");
  CHECK(text::base64_to_bytes("TWE=") == "Ma");
  CHECK(text::base64_to_bytes("TQ==") == "M");
  CHECK(text::base64_to_bytes("+/8=") == "\xfb\xff");
  CHECK_FALSE(text::base64_to_bytes("TWF"));
  CHECK_FALSE(text::base64_to_bytes("T*Fu"));
  CHECK_FALSE(text::base64_to_bytes("T==="));
}

TEST_CASE("a tokenizer whose table of replacements is damaged is refused") {
  const auto tables = text::compile_tokenizer_json(
      R"({"normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAA"},
          "model": {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0], ["a", -1]]}})",
      "tokenizer.json");
  REQUIRE_FALSE(tables);
  CHECK(tables.error().to_string().find("table of replacements is damaged") != std::string::npos);
}

}  // namespace
}  // namespace thimble

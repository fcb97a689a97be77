// Vocabularies as GGUF has them: what is written gives the same ids when it is read, or is refused.

#include "text/compile.h"
#include "tokenizer/tokenizer.h"
#include "unit/catch.h"

namespace thimble {
namespace {

using namespace tokenizer;  // NOLINT: this file makes tables

Tokenizer through_gguf(const Tables& tables) {
  const auto vocabulary = text::to_gguf(tables);
  if (!vocabulary) FAIL(vocabulary.error().to_string());
  auto back = text::compile_gguf(*vocabulary, "m.gguf");
  if (!back) FAIL(back.error().to_string());
  auto loaded = Tokenizer::create(std::move(*back));
  REQUIRE(loaded);
  return std::move(*loaded);
}

std::string refused(const Tables& tables) {
  const auto vocabulary = text::to_gguf(tables);
  return vocabulary ? "" : vocabulary.error().message;
}

// A tokenizer.json as those of SentencePiece models are made: every pair of pieces that makes a
// third is a merge, in the order of the pieces' scores.
std::string pieces_json(const std::string& merges, const std::string& pre_tokenizer = "null") {
  return R"({"added_tokens": [{"id": 0, "content": "<unk>", "special": true},
    {"id": 1, "content": "<s>", "special": true}],
    "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"},
      {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
    "pre_tokenizer": )" +
         pre_tokenizer + R"(,
    "model": {"type": "BPE", "byte_fallback": true, "unk_token": "<unk>",
      "vocab": {"<unk>": 0, "<s>": 1, "<0x21>": 2, "▁": 3, "a": 4, "b": 5, "c": 6, "bc": 7,
                "ab": 8, "abc": 9, "▁a": 10},
      "merges": )" +
         merges + "}}";
}

Tables compiled(const std::string& json) {
  auto tables = text::compile_tokenizer_json(json, "tokenizer.json");
  if (!tables) FAIL(tables.error().to_string());
  return std::move(*tables);
}

TEST_CASE("merges of pieces become scores that give the same ids") {
  const Tables tables = compiled(pieces_json(R"(["b c", "a b", "a bc", "ab c", "▁ a"])"));
  auto before = Tokenizer::create(tables);
  REQUIRE(before);
  const Tokenizer after = through_gguf(tables);
  for (const char* text : {"abc", "ab", "cab abc", "aabcbca", "a ab", "!a", "bcbc ", "abab abc"}) {
    CAPTURE(text);
    CHECK(after.encode(text) == before->encode(text));
  }
  const auto vocabulary = text::to_gguf(tables);
  CHECK(vocabulary->types[0] == 2);  // unknown
  CHECK(vocabulary->types[2] == 6);  // a byte
  CHECK(vocabulary->add_space_prefix);
}

TEST_CASE("a cut at spaces that the normalizer has replaced is none, as in Gemma's") {
  const std::string merges = R"(["b c", "a b", "a bc", "ab c", "▁ a"])";
  const auto cut_at = [&](const char* text) {
    return compiled(pieces_json(merges, R"({"type": "Split", "pattern": {"String": ")" +
                                            std::string(text) +
                                            R"("}, "behavior": "MergedWithPrevious"})"));
  };
  CHECK(through_gguf(cut_at(" ")).encode("a ab") ==
        through_gguf(compiled(pieces_json(merges))).encode("a ab"));
  CHECK(refused(cut_at("b")).find("the pre-tokenizer") != std::string::npos);
}

TEST_CASE("merges that no scores say are refused") {
  // "abc" isn't merged from "ab" and "c", or "ab" comes between those of "abc".
  CHECK(refused(compiled(pieces_json(R"(["b c", "a b", "a bc", "▁ a"])"))).find("'abc'") !=
        std::string::npos);
  CHECK(refused(compiled(pieces_json(R"(["b c", "a bc", "a b", "ab c", "▁ a"])"))).find("order") !=
        std::string::npos);
}

TEST_CASE("what GGUF has no name for is refused") {
  Tables tables;
  tables.byte_level = true;
  tables.splits = {{Split::kGpt2, ""}};
  tables.tokens.resize(2);
  CHECK(refused(tables).empty());
  Tables other = tables;
  other.splits = {{Split::kWhitespace, ""}};
  CHECK(refused(other).find("the pre-tokenizer") != std::string::npos);
  other = tables;
  other.normalizers = {{Normalize::kPrefixSpace, "", ""}};
  CHECK(refused(other).find("the normalizer") != std::string::npos);
  other = tables;
  other.prefix = {0, 1};
  CHECK(refused(other).find("around") != std::string::npos);
}

TEST_CASE("with Llama 3's pattern, whole words go before merges or not") {
  for (const bool whole : {true, false}) {
    Tables tables;
    tables.byte_level = true;
    tables.splits = {{Split::kLlama3, ""}};
    tables.ignore_merges = whole;
    for (const char* token : {"a", "b", "ab"}) tables.tokens.push_back({token});
    CHECK(through_gguf(tables).encode("ab").size() == (whole ? 1 : 2));
  }
}

}  // namespace
}  // namespace thimble

// Tokenizers written as Hugging Face folders have them give the same ids when they are read.

#include "text/compile.h"
#include "tokenizer/tokenizer.h"
#include "unit/catch.h"

namespace thimble {
namespace {

using namespace tokenizer;  // NOLINT: this file makes tables

template <class T>
T value(Expected<T> expected) {
  if (!expected) FAIL(expected.error().to_string());
  return std::move(*expected);
}

// The vocabulary of a GGUF file with SentencePiece's pieces.
text::GgufVocabulary pieces() {
  text::GgufVocabulary v;
  v.model = "llama";
  v.tokens = {"<unk>", "<s>", "</s>", "<0x21>", "▁", "a", "b", "ab", "▁ab", "<|im_start|>"};
  v.scores = {0, 0, 0, 0, -9, -8, -7, -2, -1, 0};
  v.types = {2, 3, 3, 6, 1, 1, 1, 1, 1, 4};
  v.bos = 1, v.eos = 2, v.unknown = 0;
  v.add_bos = true;
  return v;
}

Tables read_back(const Tables& tables) {
  const auto files = value(text::to_folder(tables, "{{ messages }}"));
  REQUIRE(files.size() == 2);
  REQUIRE(files[0].name == "tokenizer.model");
  Tables back =
      value(text::compile_sentencepiece(std::as_bytes(std::span(files[0].content)), "t.model"));
  CHECK(files[1].content.find(R"("chat_template": "{{ messages }}")") != std::string::npos);
  const Status applied = text::apply_tokenizer_config(files[1].content, "c.json", true, back);
  if (!applied) FAIL(applied.error().to_string());
  return back;
}

TEST_CASE("pieces and their scores are written as tokenizer.model") {
  for (const bool space : {true, false}) {
    for (const bool bos : {true, false}) {
      text::GgufVocabulary v = pieces();
      v.add_space_prefix = space;
      v.add_bos = bos;
      v.add_eos = !bos;
      const Tables before = value(text::compile_gguf(v, "m.gguf"));
      const Tables after = read_back(before);
      const Tokenizer a = value(Tokenizer::create(before)), b = value(Tokenizer::create(after));
      for (const char* text : {"ab", "a ab!", "<s>ab</s> b", "<|im_start|>ab", "abé", ""}) {
        CAPTURE(text, space, bos);
        CHECK(b.encode(text) == a.encode(text));
        CHECK(b.decode(b.encode(text)) == a.decode(a.encode(text)));
      }
      CHECK(after.bos == 1);
      CHECK(after.eos == 2);
      CHECK(after.unknown == 0);
    }
  }
}

TEST_CASE("tokenizer_config.json adds tokens to a tokenizer.model") {
  Tables tables = value(text::compile_gguf(pieces(), "m.gguf"));
  const std::string config = R"({"added_tokens_decoder": {
    "11": {"content": "<|end|>", "special": true}, "12": {"content": "tool", "normalized": false}},
    "eos_token": "<|end|>"})";
  REQUIRE(text::apply_tokenizer_config(config, "c.json", true, tables));
  CHECK(tables.eos == 11);
  const Tokenizer tokenizer = value(Tokenizer::create(tables));
  CHECK(tokenizer.encode("tool<|end|>", {.add_special = false}) ==
        std::vector<std::int32_t>{12, 11});
  // A tokenizer.json has them itself.
  Tables whole = value(text::compile_gguf(pieces(), "m.gguf"));
  REQUIRE(text::apply_tokenizer_config(config, "c.json", false, whole));
  CHECK(whole.tokens.size() == 10);
  for (const char* wrong : {R"({"added_tokens_decoder": {"5": {"content": "b"}}})",
                            R"({"added_tokens_decoder": {"x": {"content": "b"}}})",
                            R"({"added_tokens_decoder": {"-1": {"content": "b"}}})",
                            R"({"added_tokens_decoder": {"9999999": {"content": "b"}}})"}) {
    CAPTURE(wrong);
    CHECK_FALSE(text::apply_tokenizer_config(wrong, "c.json", true, tables));
  }
}

TEST_CASE("tokens that a file can't tell apart are refused") {
  Tables tables = value(text::compile_gguf(pieces(), "m.gguf"));
  tables.tokens[6].bytes = "a";
  CHECK_FALSE(text::to_folder(tables, ""));
  tables.tokens[6].bytes = "\xff";
  CHECK_FALSE(text::to_folder(tables, ""));
}

}  // namespace
}  // namespace thimble

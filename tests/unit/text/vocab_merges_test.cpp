// vocab.json and merges.txt give the ids of the tokenizer.json that they were taken from.

#include <fstream>
#include <iterator>

#include <nlohmann/json.hpp>

#include "text/compile.h"
#include "tokenizer/tokenizer.h"
#include "unit/catch.h"

namespace thimble {
namespace {

using nlohmann::json;
using tokenizer::Tokenizer;

const std::string kData = std::string(THIMBLE_SOURCE_DIR) + "/tests/data/";

std::string read(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

Tokenizer loaded(Expected<tokenizer::Tables> tables) {
  if (!tables) FAIL(tables.error().to_string());
  auto tokenizer = Tokenizer::create(std::move(*tables));
  REQUIRE(tokenizer);
  return std::move(*tokenizer);
}

// The vocabulary and merges of a tokenizer.json.
text::VocabMerges taken_apart(const json& whole) {
  text::VocabMerges files;
  files.vocabulary = whole["model"]["vocab"].dump();
  files.merges = "#version: 0.2\n";
  for (const json& merge : whole["model"]["merges"])
    files.merges += merge.is_string()
                        ? merge.get<std::string>() + "\n"
                        : merge[0].get<std::string>() + " " + merge[1].get<std::string>() + "\n";
  return files;
}

const char* const kTexts[] = {"",
                              "By the mill there lived a fox, 12345 years old.",
                              " two  spaces\n\n and\tlines ",
                              "<|begin|>it's<|end|> WE'RE",
                              "caf\u00e9 cafe\u0301 \u4e2d\u6587 \U0001F600",
                              "<|im_start|>foo_bar [SEP] end ending"};

TEST_CASE("vocab.json and merges.txt of GPT-2") {
  const std::string content = read(kData + "fable/tokenizer.json");
  text::VocabMerges files = taken_apart(json::parse(content));
  files.architecture = "GPT2LMHeadModel";
  files.config = R"({"add_bos_token": true})";  // a beginning is put in front
  files.special = R"({"bos_token": {"content": "<|begin|>"}, "eos_token": "<|end|>"})";
  const Tokenizer whole = loaded(text::compile_tokenizer_json(content, "tokenizer.json"));
  const Tokenizer parts = loaded(text::compile_vocab_merges(files, "m"));
  for (const char* text : kTexts) CHECK(parts.encode(text) == whole.encode(text));
  CHECK(parts.tables().eos == 1);
  files.config = R"({"tokenizer_class": "GPT2TokenizerFast"})";
  CHECK(loaded(text::compile_vocab_merges(files, "m")).encode("a").size() == 1);
  files.merges += "\xff \xfe\n";
  CHECK_FALSE(text::compile_vocab_merges(files, "m"));
}

TEST_CASE("vocab.json and merges.txt of Qwen 2, with added tokens of either form") {
  const std::string content = read(kData + "oracle/tokenizers/qwen2.json");
  const json whole_json = json::parse(content);
  const Tokenizer whole = loaded(text::compile_tokenizer_json(content, "tokenizer.json"));
  text::VocabMerges files = taken_apart(whole_json);
  json config = {{"tokenizer_class", "Qwen2Tokenizer"}};
  for (const json& token : whole_json["added_tokens"])
    config["added_tokens_decoder"][token["id"].dump()] = token;
  files.config = config.dump();
  const Tokenizer parts = loaded(text::compile_vocab_merges(files, "m"));
  for (const char* text : kTexts) CHECK(parts.encode(text) == whole.encode(text));
  files.config = R"({"tokenizer_class": "Qwen2Tokenizer"})";
  files.special = R"({"additional_special_tokens": ["<|im_start|>"]})";
  files.added = R"({"<|im_start|>": 640, "foo_bar": 641})";
  const auto old = loaded(text::compile_vocab_merges(files, "m"));
  CHECK(old.encode("<|im_start|>foo_bar") == std::vector<std::int32_t>{640, 641});
}

TEST_CASE("vocab.json and merges.txt of RoBERTa have tokens around a text") {
  text::VocabMerges files;
  files.architecture = "RobertaModel";
  files.vocabulary =
      R"({"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "a": 4, "b": 5, "ab": 6, "<mask>": 7})";
  files.merges = "#version: 0.2\r\na b\r\n";
  const Tokenizer tokenizer = loaded(text::compile_vocab_merges(files, "m"));
  CHECK(tokenizer.encode("ab<mask>") == std::vector<std::int32_t>{0, 6, 7, 2});
}

// The ids are those of Hugging Face tokenizers.
TEST_CASE("add_prefix_space sets a space before each text between added tokens") {
  text::VocabMerges files;
  files.config = R"({"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": true})";
  files.vocabulary = R"({"<x>": 0, "Ġ": 1, "a": 2, "b": 3, "Ġa": 4, "Ġb": 5})";
  files.merges = "Ġ a\nĠ b\n";
  files.added = R"({"<x>": 0})";
  const Tokenizer tokenizer = loaded(text::compile_vocab_merges(files, "m"));
  CHECK(tokenizer.encode("a b<x>b") == std::vector<std::int32_t>{4, 5, 0, 5});
  CHECK(tokenizer.encode("<x>a") == std::vector<std::int32_t>{0, 4});
  CHECK(tokenizer.encode(" a<x>") == std::vector<std::int32_t>{4, 0});
}

TEST_CASE("vocab.json of a tokenizer that isn't known is refused by name") {
  text::VocabMerges files;
  files.config = R"({"tokenizer_class": "CLIPTokenizer"})";
  const auto tables = text::compile_vocab_merges(files, "m");
  REQUIRE_FALSE(tables);
  CHECK(tables.error().message.find("CLIPTokenizer") != std::string::npos);
  files.config = "";
  files.architecture = "GPT2LMHeadModel";
  files.vocabulary = "[1]";
  CHECK_FALSE(text::compile_vocab_merges(files, "m"));
}

}  // namespace
}  // namespace thimble

// Token ids against `tokenizers` and `sentencepiece` on 10,000 varied strings
// (scripts/oracle/tokenizer_cases.py).

#include <filesystem>
#include <fstream>
#include <sstream>
#include <zlib.h>

#include <nlohmann/json.hpp>

#include "support/mapped_file.h"
#include "text/compile.h"
#include "text/pattern.h"
#include "tokenizer/tokenizer.h"
#include "unit/catch.h"

namespace thimble {
namespace {

namespace fs = std::filesystem;

const fs::path kSource = THIMBLE_SOURCE_DIR;
const fs::path kCases = kSource / "tests/data/oracle/tokenizers";

std::vector<std::string> gunzipped_lines(const fs::path& path) {
  gzFile file = gzopen(path.c_str(), "rb");
  REQUIRE(file != nullptr);
  std::string text;
  char buffer[65536];
  for (int n; (n = gzread(file, buffer, sizeof buffer)) > 0;)
    text.append(buffer, static_cast<std::size_t>(n));
  gzclose(file);
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

std::string read_all(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// From the bytes that a .thimble holds.
tokenizer::Tokenizer load(const std::vector<std::byte>& bytes) {
  auto loaded = tokenizer::Tokenizer::load(bytes);
  if (!loaded) FAIL(loaded.error().to_string());
  return std::move(*loaded);
}

tokenizer::Tokenizer load(const fs::path& path) {
  const std::string content = read_all(path);
  auto tables = path.extension() == ".model"
                    ? text::compile_sentencepiece(std::as_bytes(std::span(content)), path.string())
                    : text::compile_tokenizer_json(content, path.string());
  if (!tables) FAIL(tables.error().to_string());
  return load(tokenizer::write_tables(*tables));
}

void check_all(const std::string& name, const tokenizer::Tokenizer& tokenizer) {
  const auto strings = gunzipped_lines(kCases / "strings.json.gz");
  const auto expected = gunzipped_lines(kCases / (name + ".ids.gz"));
  REQUIRE(strings.size() >= 10000);
  REQUIRE(expected.size() == strings.size());
  int wrong = 0;
  for (std::size_t i = 0; i < strings.size(); ++i) {
    const std::string text = nlohmann::json::parse(strings[i]).get<std::string>();
    std::string got;
    for (const std::int32_t id : tokenizer.encode(text))
      got += (got.empty() ? "" : " ") + std::to_string(id);
    if (got == expected[i]) continue;
    if (++wrong <= 5)
      UNSCOPED_INFO(strings[i] << "\n  got      " << got << "\n  expected " << expected[i]);
  }
  CHECK(wrong == 0);
}

TEST_CASE("byte-level BPE with GPT-2's pattern") {
  check_all("fable", load(kSource / "tests/data/fable/tokenizer.json"));
}
TEST_CASE("byte-level BPE with Llama 3's pattern and added tokens") {
  check_all("llama3", load(kCases / "llama3.json"));
}
TEST_CASE("the same vocabularies through GGUF, and from there to a folder") {
  for (const fs::path& path :
       {kSource / "tests/data/fable/tokenizer.json", kCases / "llama3.json"}) {
    CAPTURE(path);
    auto tables = text::compile_tokenizer_json(read_all(path), path.string());
    // GGUF doesn't say where added tokens are found, and what they take with them.
    for (tokenizer::AddedToken& token : tables->added)
      token = {.id = token.id, .text = token.text, .special = token.special};
    const auto vocabulary = text::to_gguf(*tables);
    if (!vocabulary) FAIL(vocabulary.error().to_string());
    const auto back = text::compile_gguf(*vocabulary, "m.gguf");
    if (!back) FAIL(back.error().to_string());
    const auto files = text::to_folder(*back, "");
    if (!files) FAIL(files.error().to_string());
    REQUIRE(files->front().name == "tokenizer.json");
    const auto again = text::compile_tokenizer_json(files->front().content, "tokenizer.json");
    if (!again) FAIL(again.error().to_string());
    const auto before = load(tokenizer::write_tables(*tables));
    const auto after = load(tokenizer::write_tables(*back));
    const auto written = load(tokenizer::write_tables(*again));
    for (const std::string& line : gunzipped_lines(kCases / "strings.json.gz")) {
      const std::string text = nlohmann::json::parse(line).get<std::string>();
      REQUIRE(after.encode(text) == before.encode(text));
      REQUIRE(written.encode(text) == before.encode(text));
    }
  }
}
TEST_CASE("byte-level BPE with Qwen 2's pattern and NFC") {
  check_all("qwen2", load(kCases / "qwen2.json"));
}
TEST_CASE("a pattern that has no scanner of its own gives the same ids through PCRE2") {
  text::use_patterns();
  for (const char* name : {"llama3", "qwen2"}) {
    nlohmann::json json = nlohmann::json::parse(read_all(kCases / (std::string(name) + ".json")));
    bool changed = false;
    for (nlohmann::json& step : json["pre_tokenizer"]["pretokenizers"]) {
      if (step["type"] != "Split") continue;
      step["pattern"]["Regex"] = "(?:" + step["pattern"]["Regex"].get<std::string>() + ")";
      changed = true;
    }
    REQUIRE(changed);
    auto tables = text::compile_tokenizer_json(json.dump(), name);
    if (!tables) FAIL(tables.error().to_string());
    check_all(name, load(tokenizer::write_tables(*tables)));
  }
}
TEST_CASE("unigram with NFKC and metaspace") {
  check_all("unigram", load(kCases / "unigram.json"));
}
TEST_CASE("SentencePiece unigram with its table of replacements") {
  check_all("sentencepiece-unigram", load(kCases / "sentencepiece-unigram.model"));
}
TEST_CASE("the same table as XLM-RoBERTa's tokenizer.json has it, by grapheme clusters") {
  check_all("precompiled", load(kCases / "precompiled.json"));
}
TEST_CASE("WordPiece as BERT has it") { check_all("wordpiece", load(kCases / "wordpiece.json")); }
TEST_CASE("BPE with byte fallback as Llama 2 has it") {
  check_all("llama-bpe", load(kCases / "llama-bpe.json"));
}

TEST_CASE("SentencePiece BPE of stories260K") {
  const fs::path model = fs::path(THIMBLE_SHARED_DIR) / "data/stories260K/tokenizer.model";
  if (!fs::exists(model)) {
    WARN("skipped: there is no " << model);
    return;
  }
  check_all("stories260K", load(model));
}

TEST_CASE("decoding gives back what byte-level BPE was given") {
  const tokenizer::Tokenizer tokenizer = load(kSource / "tests/data/fable/tokenizer.json");
  for (const std::string& line : gunzipped_lines(kCases / "strings.json.gz")) {
    const std::string text = nlohmann::json::parse(line).get<std::string>();
    const auto ids = tokenizer.encode(text, {.add_special = false, .parse_special = false});
    REQUIRE(tokenizer.decode(ids, false) == text);
  }
}

TEST_CASE("invalid UTF-8 goes through byte-level BPE unchanged") {
  const tokenizer::Tokenizer tokenizer = load(kSource / "tests/data/fable/tokenizer.json");
  const std::string broken = "a\xff\xc3(\xe2\x82 b\xf0\x9f";
  const auto ids = tokenizer.encode(broken, {.add_special = false});
  CHECK(tokenizer.decode(ids, false) == broken);
}

TEST_CASE("streamed text is what decoding the whole gives") {
  const tokenizer::Tokenizer tokenizer = load(kSource / "tests/data/fable/tokenizer.json");
  const auto ids =
      tokenizer.encode("Once \xf0\x9f\x98\x80 there was — a fox.", {.add_special = true});
  tokenizer::StreamDecoder stream(tokenizer, ids.front());
  std::string text;
  for (std::size_t i = 1; i < ids.size(); ++i) {
    const std::string piece = stream.push(ids[i]);
    text += piece;
  }
  CHECK(text + stream.finish() == "Once \xf0\x9f\x98\x80 there was — a fox.");
}

TEST_CASE("damaged tables are refused") {
  const std::string content = read_all(kCases / "llama3.json");
  const auto bytes = tokenizer::write_tables(*text::compile_tokenizer_json(content, "llama3.json"));
  for (std::size_t size = 0; size < bytes.size(); size += 97)
    CHECK_FALSE(tokenizer::Tokenizer::load(std::span(bytes).first(size)).has_value());
}

TEST_CASE("what isn't supported is named") {
  const auto refused = text::compile_tokenizer_json(
      R"({"model": {"type": "BPE", "vocab": {}, "merges": []}, "normalizer": {"type": "Nmt"}})",
      "t.json");
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().to_string().find("normalizer 'Nmt' is not supported") != std::string::npos);
  const auto twice = text::compile_tokenizer_json(R"({"model": {}, "model": {}})", "t.json");
  REQUIRE_FALSE(twice.has_value());
  CHECK(twice.error().to_string().find("given twice") != std::string::npos);
}

}  // namespace
}  // namespace thimble

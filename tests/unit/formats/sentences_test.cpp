// What sentence-transformers keeps beside an encoder.

#include <filesystem>
#include <fstream>

#include "formats/all.h"
#include "unit/catch.h"
#include "unit/support/scratch_folder.h"

namespace thimble {
namespace {

namespace fs = std::filesystem;

// A tiny BERT of 128 positions with such a file beside it.
Expected<ir::Model> encoder_with(const std::string& sentence_bert_config) {
  const ScratchFolder scratch;
  const fs::path bert = fs::path(THIMBLE_SOURCE_DIR) / "tests/data/oracle/bert";
  for (const char* name : {"config.json", "model.safetensors"})
    fs::copy_file(bert / name, scratch.path(name));
  std::ofstream(scratch.path("sentence_bert_config.json")) << sentence_bert_config;
  return formats::read_model(scratch.path(""), {});
}

TEST_CASE("an encoder takes as many tokens as sentence-transformers gives it") {
  const auto limit = [](const std::string& config) {
    const auto model = encoder_with(config);
    if (!model) FAIL(model.error().to_string());
    return model->max_context;
  };
  CHECK(limit(R"({"max_seq_length": 32, "do_lower_case": false})") == 32);
  CHECK(limit(R"({"max_seq_length": 256})") == 128);
  CHECK(limit(R"({"max_seq_length": null})") == 128);
}

TEST_CASE("sentence settings that would change the result are refused") {
  const auto refusal = [](const std::string& config) {
    const auto model = encoder_with(config);
    return model ? "" : model.error().to_string();
  };
  CHECK(refusal(R"({"max_seq_length": "long"})").find("max_seq_length") != std::string::npos);
  CHECK(refusal(R"({"max_seq_length": 2})").find("at least 3") != std::string::npos);
  CHECK(refusal(R"({"do_lower_case": true})").find("do_lower_case") != std::string::npos);
  CHECK(refusal("[]").find("not a map") != std::string::npos);
}

}  // namespace
}  // namespace thimble

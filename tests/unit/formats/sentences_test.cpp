// What sentence-transformers keeps beside an encoder.

#include <filesystem>
#include <fstream>
#include <map>

#include "formats/all.h"
#include "unit/catch.h"
#include "unit/support/scratch_folder.h"

namespace thimble {
namespace {

namespace fs = std::filesystem;

// A tiny BERT of 128 positions with such files beside it.
Expected<ir::Model> encoder_with(const std::map<std::string, std::string>& files) {
  const ScratchFolder scratch;
  const fs::path bert = fs::path(THIMBLE_SOURCE_DIR) / "tests/data/oracle/bert";
  for (const char* name : {"config.json", "model.safetensors"})
    fs::copy_file(bert / name, scratch.path(name));
  for (const auto& [name, text] : files) {
    fs::create_directories(fs::path(scratch.path(name)).parent_path());
    std::ofstream(scratch.path(name)) << text;
  }
  return formats::read_model(scratch.path(""), {});
}
Expected<ir::Model> encoder_with(const std::string& sentence_bert_config) {
  return encoder_with({{"sentence_bert_config.json", sentence_bert_config}});
}

// modules.json with a module of each of these types after the network.
std::string modules_of(const std::vector<std::string>& types) {
  std::string out = R"([{"path": "", "type": "sentence_transformers.models.Transformer"})";
  for (const std::string& type : types) {
    out +=
        R"(, {"path": "1_)" + type + R"(", "type": "sentence_transformers.models.)" + type + "\"}";
  }
  return out + "]";
}

// The operators that make the sentence's embedding, in order.
std::string pooling_of(const ir::Model& model) {
  std::string out;
  for (const ir::NodeId id : model.graph.order()) {
    const ir::Node& node = model.graph.node(id);
    if (node.name.starts_with("pooling")) out += (out.empty() ? "" : " ") + node.op;
  }
  return out;
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

TEST_CASE("modules.json says whether an embedding has length 1") {
  const auto last = [](const std::map<std::string, std::string>& files) {
    const auto model = encoder_with(files);
    if (!model) FAIL(model.error().to_string());
    const std::string operators = pooling_of(*model);
    return operators.substr(operators.rfind(' ', operators.rfind(' ') - 1) + 1);
  };
  const std::string plain = modules_of({"Pooling"}), unit = modules_of({"Pooling", "Normalize"});
  const std::string cls = R"({"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false})";
  CHECK(last({{"modules.json", plain}}) == "Max Div");  // the mean's
  CHECK(last({{"modules.json", plain}, {"1_Pooling/config.json", cls}}) == "Gather");
  for (const std::string& mode : {cls, std::string(R"({"pooling_mode": "cls"})")})
    CHECK(last({{"modules.json", unit}, {"1_Pooling/config.json", mode}}) == "Max Div");
}

TEST_CASE("modules and poolings that would change the embedding are refused") {
  const auto refusal = [](const std::map<std::string, std::string>& files) {
    const auto model = encoder_with(files);
    return model ? "" : model.error().to_string();
  };
  CHECK(refusal({{"modules.json", modules_of({"Pooling", "Dense", "Normalize"})}})
            .find("'sentence_transformers.models.Dense' is not supported") != std::string::npos);
  CHECK(refusal({{"modules.json", "{}"}}).find("not a list") != std::string::npos);
  CHECK(refusal({{"modules.json", R"([{"type": "Pooling", "path": "../other"}])"}})
            .find("leaves the folder") != std::string::npos);
  CHECK(refusal({{"modules.json", "[3]"}}).find("'3' is not supported") != std::string::npos);
  for (const char* mode : {R"({"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": true})",
                           R"({"pooling_mode_max_tokens": true})", R"({"pooling_mode": 3})",
                           R"({"pooling_mode": "lasttoken"})", "{}"}) {
    CHECK(refusal({{"modules.json", modules_of({"Pooling"})}, {"1_Pooling/config.json", mode}})
              .find("only mean and CLS") != std::string::npos);
  }
}

}  // namespace
}  // namespace thimble

// Models written in another format and read back compute the same.

#include <filesystem>
#include <fstream>

#include <nlohmann/json.hpp>

#include "data/npz.h"
#include "formats/all.h"
#include "lower/lower.h"
#include "runtime/generate.h"
#include "tokenizer/tokenizer.h"
#include "unit/catch.h"
#include "unit/support/scratch_folder.h"

namespace thimble {
namespace {

namespace fs = std::filesystem;

const std::string kOracle = std::string(THIMBLE_SOURCE_DIR) + "/tests/data/oracle/";

template <class T>
T value(Expected<T> expected) {
  if (!expected) FAIL(expected.error().to_string());
  return std::move(*expected);
}

std::vector<float> last_logits(const ir::Model& model, std::span<const std::int32_t> tokens,
                               ThreadPool& pool) {
  const program::Bundle bundle = value(lower::load(model, pool));
  runtime::SessionOptions options;
  options.cache_from_program = false;
  const auto decoder = value(runtime::Decoder::create(bundle, pool, options));
  const auto logits = value(decoder->feed(tokens));
  return {logits.begin(), logits.end()};
}

// The model of an oracle with some of its configuration replaced (null: taken out).
ir::Model changed(const std::string& name, const std::string& patch) {
  static const ScratchFolder folder;  // whose weights stay mapped
  static int count = 0;
  const fs::path work = folder.path(std::to_string(count++));
  fs::create_directory(work);
  fs::copy_file(kOracle + name + "/model.safetensors", work / "model.safetensors");
  auto config = nlohmann::json::parse(std::ifstream(kOracle + name + "/config.json"));
  config.merge_patch(nlohmann::json::parse(patch));
  std::ofstream(work / "config.json") << config.dump();
  return value(formats::read_model(work.string(), {}));
}

std::vector<float> through(const std::string& name, const formats::Target& target,
                           const std::string& patch = "{}") {
  ThreadPool pool(2);
  Progress quiet(Progress::Style::kQuiet);
  const ScratchFolder folder;
  const std::string path = folder.path(target.format == "gguf" ? "m.gguf" : "m");
  const ir::Model model = changed(name, patch);
  const Status written = formats::write_model(model, path, target, pool, quiet);
  if (!written) FAIL(written.error().to_string());
  const std::vector<std::int32_t> tokens = {5, 60, 33, 7, 12, 90, 4, 4, 71, 20, 21, 35};
  const std::vector<float> before = last_logits(model, tokens, pool);
  std::vector<float> after = last_logits(value(formats::read_model(path, {})), tokens, pool);
  REQUIRE(after.size() == before.size());
  for (std::size_t i = 0; i < after.size(); ++i) after[i] -= before[i];
  return after;
}

float largest(const std::vector<float>& differences) {
  float most = 0;
  for (const float d : differences) most = std::max(most, std::abs(d));
  return most;
}

TEST_CASE("a model comes back from GGUF as it went") {
  for (const char* name : {"llama", "llama-tied", "llama-linear", "qwen3"}) {
    CAPTURE(name);
    CHECK(largest(through(name, {"gguf", ""})) == 0);
  }
  CHECK(largest(through("phi3", {"gguf", ""})) == 0);
  // Frequencies come back from factors, rounded once more.
  for (const char* name : {"llama-llama3", "phi3-longrope-short", "phi3-longrope-long"}) {
    CAPTURE(name);
    CHECK(largest(through(name, {"gguf", ""})) < 1e-4f);
  }
}

TEST_CASE("GPT-2 comes back from GGUF, its products turned") {
  CHECK(largest(through("gpt2", {"gguf", ""})) == 0);
  ThreadPool pool(2);
  Progress quiet(Progress::Style::kQuiet);
  const ScratchFolder folder;
  const ir::Model model = value(formats::read_model(kOracle + "gpt2", {}));
  REQUIRE(formats::write_model(model, folder.path("m.gguf"), {"gguf", "f16"}, pool, quiet));
  // And as a folder again, the other way round.
  const ir::Model half = value(formats::read_model(folder.path("m.gguf"), {}));
  REQUIRE(formats::write_model(half, folder.path("m"), {"safetensors", ""}, pool, quiet));
  const ir::Model back = value(formats::read_model(folder.path("m"), {}));
  const std::vector<std::int32_t> tokens = {5, 60, 33, 7, 12, 90, 4, 4, 71, 20, 21, 35};
  CHECK(last_logits(back, tokens, pool) == last_logits(half, tokens, pool));
}

constexpr const char* kUsualScale = R"({"query_pre_attn_scalar": 16})";  // the width of a head

TEST_CASE("Gemma's windows and softcaps come back from GGUF") {
  CHECK(largest(through("gemma2", {"gguf", ""}, kUsualScale)) == 0);
  CHECK(largest(through("gemma3", {"gguf", ""}, kUsualScale)) == 0);
  for (
      const char* types :
      {R"(["full_attention", "full_attention", "full_attention", "full_attention"])",
       R"(["sliding_attention", "sliding_attention", "full_attention", "sliding_attention"])",
       R"(["sliding_attention", "sliding_attention", "sliding_attention", "sliding_attention"])"}) {
    CAPTURE(types);
    const std::string patch =
        R"({"query_pre_attn_scalar": 16, "layer_types": )" + std::string(types) + "}";
    CHECK(largest(through("gemma2", {"gguf", ""}, patch)) == 0);
    CHECK(largest(through("gemma3", {"gguf", ""}, patch)) == 0);
  }
}

TEST_CASE("Gemma's scale of attention goes into what makes queries") {
  // llama.cpp derives it from the width of a head, 16.
  const std::string four = R"({"query_pre_attn_scalar": 64})";
  for (const char* name : {"gemma2", "gemma3"}) {
    CAPTURE(name);
    CHECK(largest(through(name, {"gguf", ""}, four)) == 0);
    CHECK(largest(through(name, {"gguf", ""})) < 1e-5f);  // of 20: rounded once
  }
  ThreadPool pool(1);
  Progress quiet(Progress::Style::kQuiet);
  const ScratchFolder folder;
  const ir::Model usual = changed("gemma2", kUsualScale);
  REQUIRE(formats::write_model(usual, folder.path("m.gguf"), {"gguf", "f16"}, pool, quiet));
  ir::Model half = value(formats::read_model(folder.path("m.gguf"), {}));
  const auto with_scale = [&](const char* scale, const char* type) {
    auto metadata = half.metadata;
    half.metadata["query_pre_attn_scalar"] = scale;
    Status status =
        formats::write_model(half, folder.path("again.gguf"), {"gguf", type}, pool, quiet);
    half.metadata = std::move(metadata);
    return status;
  };
  CHECK(with_scale("4", ""));
  CHECK(with_scale("20", "f32"));
  for (const char* inexact : {"20", "64"}) {  // 64 halves numbers that are subnormal already
    const Status refused = with_scale(inexact, "");
    REQUIRE_FALSE(refused.has_value());
    CHECK_FALSE(refused.error().place.tensor.empty());
  }
}

// The configuration of an oracle with one value set: null stays null.
Expected<ir::Model> with_value(const std::string& name, const std::string& key,
                               const nlohmann::json& value) {
  const ScratchFolder folder;
  fs::copy_file(kOracle + name + "/model.safetensors", folder.path("model.safetensors"));
  auto config = nlohmann::json::parse(std::ifstream(kOracle + name + "/config.json"));
  config[key] = value;
  std::ofstream(folder.path("config.json")) << config.dump();
  return formats::read_model(folder.path(""), {});
}

TEST_CASE("a Mistral whose window is null has none, in GGUF neither") {
  const auto model = with_value("mistral", "sliding_window", nullptr);
  REQUIRE(model);
  CHECK(formats::check_writable(*model, {"gguf", ""}));
}

TEST_CASE("an encoder with a classifier's head is refused") {
  CHECK(with_value("bert", "architectures", nlohmann::json::array({"BertForMaskedLM"})));
  const auto classifier =
      with_value("bert", "architectures", nlohmann::json::array({"BertForSequenceClassification"}));
  REQUIRE_FALSE(classifier.has_value());
  CHECK(classifier.error().message.find("its head is not read") != std::string::npos);
}

TEST_CASE("yarn's frequencies come back from GGUF") {
  // The usual ramp has keys, another becomes factors.
  for (const char* patch :
       {R"({"rope_parameters": {"beta_fast": null}})",
        R"({"rope_parameters": {"beta_fast": null, "attention_factor": 0.8}})", "{}",
        R"({"rope_parameters": {"attention_factor": 0.8, "truncate": false}})"}) {
    CAPTURE(patch);
    CHECK(largest(through("llama-yarn", {"gguf", ""}, patch)) < 1e-4f);
  }
}

TEST_CASE("half precision changes a model a little") {
  const float change = largest(through("llama", {"gguf", "f16"}));
  CHECK(change > 0);
  CHECK(change < 0.1f);
}

TEST_CASE("blocks stay blocks in GGUF unless floats are asked for") {
  ThreadPool pool(2);
  Progress quiet(Progress::Style::kQuiet);
  const ScratchFolder folder;
  const std::string fable = std::string(THIMBLE_SOURCE_DIR) + "/tests/data/fable";
  const ir::Model original = value(formats::read_model(fable, {}));
  REQUIRE(formats::write_model(original, folder.path("q.gguf"), {"gguf", "q8_0"}, pool, quiet));
  const ir::Model blocks = value(formats::read_model(folder.path("q.gguf"), {}));
  formats::Target target{"gguf", "f32"};
  for (const bool decode : {false, true}) {
    target.decode = decode;
    REQUIRE(formats::write_model(blocks, folder.path("f.gguf"), target, pool, quiet));
    const ir::Model again = value(formats::read_model(folder.path("f.gguf"), {}));
    const auto find = [](const ir::Model& model) -> const ir::Weight& {
      for (const ir::Weight& weight : model.weights) {
        if (weight.name == "model.layers.0.mlp.up_proj.weight") return weight;
      }
      FAIL("the weight is gone");
      std::abort();
    };
    CHECK(find(again).encoding.is_dense() == decode);
    CHECK(value(ir::read_floats(find(again))) == value(ir::read_floats(find(blocks))));
  }
}

TEST_CASE("a model comes back from safetensors as it went") {
  for (const char* name : {"llama", "llama-yarn", "mistral", "phi3", "gpt2"}) {
    CAPTURE(name);
    CHECK(largest(through(name, {"safetensors", ""})) == 0);
  }
  // Gains are kept as 1 + w here and as w there.
  CHECK(largest(through("gemma3", {"safetensors", ""})) < 1e-3f);
}

TEST_CASE("a folder made of a GGUF file has what a run needs") {
  ThreadPool pool(1);
  Progress quiet(Progress::Style::kQuiet);
  const ScratchFolder folder;
  const std::string fable = std::string(THIMBLE_SOURCE_DIR) + "/tests/data/fable";
  ir::Model original = value(formats::read_model(fable, {}));
  original.chat_template = "{{ messages }}";
  REQUIRE(formats::write_model(original, folder.path("m.gguf"), {"gguf", ""}, pool, quiet));
  const ir::Model blocks = value(formats::read_model(folder.path("m.gguf"), {}));
  REQUIRE(formats::write_model(blocks, folder.path("m"), {"safetensors", ""}, pool, quiet));
  const ir::Model back = value(formats::read_model(folder.path("m"), {}));
  const auto tokenizer = [](const ir::Model& model) {
    return value(tokenizer::Tokenizer::load(model.tokenizer));
  };
  const std::string text = "By the mill there lived a fox, 12 years old.";
  CHECK(tokenizer(back).encode(text) == tokenizer(original).encode(text));
  CHECK(back.chat_template == original.chat_template);
  CHECK(back.generation.bos_token_id == original.generation.bos_token_id);
  CHECK(back.generation.eos_token_ids == original.generation.eos_token_ids);
}

// Without what llama.cpp's qwen2 and qwen3 have no place for.
ir::Model qwen(const std::string& architecture, const std::string& metadata_key,
               const std::string& metadata_value) {
  ir::Model model = value(formats::read_model(kOracle + "qwen3", {}));
  model.architecture = architecture;
  model.metadata[metadata_key] = metadata_value;
  return model;
}

TEST_CASE("biases and widths of heads that an architecture lacks are refused") {
  for (const ir::Model& model : {qwen("Qwen3ForCausalLM", "attention_bias", "true"),
                                 qwen("Qwen2ForCausalLM", "head_dim", "16")}) {
    const Status checked = formats::check_writable(model, {"gguf", ""});
    REQUIRE_FALSE(checked.has_value());
    CHECK(checked.error().message.find("in this architecture") != std::string::npos);
  }
}

TEST_CASE("what GGUF cannot say is refused") {
  ThreadPool pool(1);
  Progress quiet(Progress::Style::kQuiet);
  const std::pair<const char*, const char*> kCases[] = {
      {"mistral", "{}"},
      {"qwen2", "{}"},
      {"gpt2", R"({"scale_attn_by_inverse_layer_idx": true})"},
      {"gpt2", R"({"activation_function": "relu"})"},
      {"gemma2", R"({"query_pre_attn_scalar": 16, "final_logit_softcapping": 0})"},
      {"gemma2", R"({"query_pre_attn_scalar": 16, "layer_types": ["full_attention",
          "sliding_attention", "sliding_attention", "full_attention"]})"},
      {"qwen3", R"({"rope_parameters": {"rope_type": "llama3", "factor": 4.0}})"},
      {"qwen3", R"({"rope_parameters": {"rope_type": "yarn", "factor": 4.0, "beta_fast": 4}})"},
  };
  for (const auto& [name, patch] : kCases) {
    CAPTURE(name, patch);
    const ir::Model model = changed(name, patch);
    const Status written = formats::write_model(model, "never.gguf", {"gguf", ""}, pool, quiet);
    REQUIRE_FALSE(written.has_value());
    CHECK(written.error().code == ErrorCode::kUnsupported);
    CHECK_FALSE(fs::exists("never.gguf"));
  }
  const ir::Model llama = value(formats::read_model(kOracle + "llama", {}));
  const Status blocks = formats::write_model(llama, "never.gguf", {"gguf", "q4_0"}, pool, quiet);
  REQUIRE_FALSE(blocks.has_value());
  CHECK_FALSE(blocks.error().place.tensor.empty());
  const Status type = formats::write_model(llama, "never.gguf", {"gguf", "q5"}, pool, quiet);
  REQUIRE_FALSE(type.has_value());
  CHECK(type.error().code == ErrorCode::kUsage);
}

}  // namespace
}  // namespace thimble

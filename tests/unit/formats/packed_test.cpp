// Checkpoints that are quantized already, against what the tools that wrote them read back
// (scripts/oracle/packed_checkpoints.py); and what is refused.

#include <cstring>
#include <filesystem>
#include <fstream>

#include <nlohmann/json.hpp>

#include "data/npz.h"
#include "formats/all.h"
#include "support/half.h"
#include "unit/catch.h"
#include "unit/support/scratch_folder.h"

namespace thimble {
namespace {

namespace fs = std::filesystem;

const fs::path kPacked = fs::path(THIMBLE_SOURCE_DIR) / "tests/data/oracle/packed";

const ir::Weight* find(const ir::Model& model, const std::string& name) {
  for (const ir::Weight& weight : model.weights)
    if (weight.name == name) return &weight;
  return nullptr;
}

void check_weights(const ir::Model& model, const fs::path& expected) {
  const auto arrays = data::read_npz(expected.string());
  if (!arrays) FAIL(arrays.error().to_string());
  REQUIRE(arrays->size() == 7);
  for (const data::Array& array : *arrays) {
    INFO(array.name);
    const ir::Weight* weight = find(model, array.name);
    REQUIRE(weight != nullptr);
    const auto values = ir::read_floats(*weight);
    REQUIRE(values);
    REQUIRE(static_cast<std::int64_t>(values->size()) == array.count());
    int wrong = 0;
    for (std::size_t i = 0; i < values->size(); ++i) {
      std::uint16_t half;
      std::memcpy(&half, array.bytes.data() + 2 * i, 2);
      wrong += half_to_float(float_to_half((*values)[i])) != half_to_float(half);
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("packed checkpoints are read on their own grids") {
  const auto encoding = [](const std::string& folder) {
    const auto model = formats::read_model((kPacked / folder).string(), {});
    if (!model) FAIL(model.error().to_string());
    check_weights(*model, kPacked / folder / "expected.npz");
    return find(*model, "model.layers.0.mlp.down_proj.weight")->encoding.to_string();
  };
  CHECK(encoding("gptq4-32") == "uint4 group 32 points f16");
  CHECK(encoding("gptq4-32-sym") == "int4 group 32 symmetric f16");
  CHECK(encoding("gptq3-row") == "uint3 per-channel points f16");
  CHECK(encoding("gptq2-16") == "uint2 group 16 points f16");
  CHECK(encoding("gptq8-32-sym") == "int8 group 32 symmetric f16");
  CHECK(encoding("awq4-32") == "uint4 group 32 points f16");
  CHECK(encoding("compressed4-16-sym") == "int4 group 16 symmetric f16");
  CHECK(encoding("compressed4-32") == "uint4 group 32 points f16");
  CHECK(encoding("compressed3-row-sym") == "int3 per-channel symmetric f16");
}

TEST_CASE("groups that act-order has scattered are read as floats") {
  for (const char* folder : {"gptq4-32-act-order", "compressed4-16-act-order"}) {
    INFO(folder);
    const auto model = formats::read_model((kPacked / folder).string(), {});
    if (!model) FAIL(model.error().to_string());
    check_weights(*model, kPacked / folder / "expected.npz");
    const ir::Weight* weight = find(*model, "model.layers.0.mlp.down_proj.weight");
    CHECK(weight->encoding.is_dense());
    CHECK(weight->dtype == ir::DType::kF16);
  }
}

// A copy of a checkpoint with another quantization_config.
std::string refusal(const std::string& folder,
                    const std::function<void(nlohmann::json&)>& change_config) {
  const ScratchFolder scratch;
  fs::copy_file(kPacked / folder / "model.safetensors", scratch.path("model.safetensors"));
  nlohmann::json config = nlohmann::json::parse(std::ifstream(kPacked / folder / "config.json"));
  change_config(config["quantization_config"]);
  std::ofstream(scratch.path("config.json")) << config;
  const auto model = formats::read_model(scratch.path(""), {});
  return model ? "" : model.error().to_string();
}

TEST_CASE("what a packed checkpoint can't be read as is refused by name") {
  const auto says = [](const std::string& folder, auto change, const std::string& what) {
    const std::string error = refusal(folder, change);
    INFO(error);
    CHECK(error.find(what) != std::string::npos);
  };
  using nlohmann::json;
  says(
      "gptq4-32", [](json& q) { q["quant_method"] = "bitsandbytes"; }, "by 'bitsandbytes'");
  says(
      "gptq4-32", [](json& q) { q["checkpoint_format"] = "marlin"; }, "format 'marlin'");
  says(
      "gptq4-32", [](json& q) { q["bits"] = 8; }, "'scales' has dims");
  says(
      "gptq4-32", [](json& q) { q["bits"] = 5; }, "in 5 bits");
  says(
      "gptq4-32", [](json& q) { q["group_size"] = 16; }, "'scales' has dims [3, 64], not [6, 64]");
  says(
      "gptq4-32",
      [](json& q) {
        q["dynamic"] = {{"x", {{"bits", 8}}}};
      },
      "`dynamic`");
  says(
      "awq4-32", [](json& q) { q["version"] = "gemv"; }, "version 'gemv'");
  says(
      "awq4-32", [](json& q) { q["quant_method"] = "gptq"; }, "dims");
  says(
      "compressed4-32", [](json& q) { q["format"] = "marlin-24"; }, "format 'marlin-24'");
  says(
      "compressed4-32",
      [](json& q) {
        q["config_groups"]["group_0"]["input_activations"] = {{"num_bits", 8}};
      },
      "quantized activations");
  says(
      "compressed4-32",
      [](json& q) {
        q["kv_cache_scheme"] = {{"num_bits", 8}};
      },
      "KV cache");
  says(
      "compressed4-32", [](json& q) { q["config_groups"]["group_0"]["weights"]["num_bits"] = 8; },
      "'weight_packed' has dims");
}

TEST_CASE("a packed checkpoint written as floats says that it is one of floats") {
  const ScratchFolder scratch;
  const auto packed = formats::read_model((kPacked / "awq4-32").string(), {});
  REQUIRE(packed);
  ThreadPool pool(1);
  Progress quiet(Progress::Style::kQuiet);
  const std::string folder = scratch.path("floats");
  REQUIRE(
      formats::write_model(*packed, folder, {.format = "safetensors", .type = "f16"}, pool, quiet));
  const auto floats = formats::read_model(folder, {});
  if (!floats) FAIL(floats.error().to_string());
  const ir::Weight* weight = find(*floats, "model.layers.0.mlp.up_proj.weight");
  REQUIRE(weight != nullptr);
  CHECK(weight->encoding.is_dense());
}

}  // namespace
}  // namespace thimble

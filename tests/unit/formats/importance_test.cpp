#include "formats/importance.h"

#include <limits>

#include "ir/model.h"
#include "unit/catch.h"
#include "unit/ir/parsed.h"
#include "unit/support/scratch_folder.h"

using namespace thimble;

namespace {

template <class T>
std::string raw(T value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof value);
}

std::string dat_entry(const std::string& name, std::int32_t calls,
                      const std::vector<float>& values) {
  std::string out = raw(static_cast<std::int32_t>(name.size())) + name + raw(calls) +
                    raw(static_cast<std::int32_t>(values.size()));
  for (const float value : values) out += raw(value);
  return out;
}

std::string error_of(const std::string& bytes) {
  const ScratchFolder folder;
  const auto read = formats::read_importance(folder.write("imatrix", bytes));
  return read ? "" : read.error().message;
}

ir::Model small_llama() {
  ir::Model model = test::parsed(R"(weight @model.layers.0.mlp.up_proj.weight: f32[4, 3]
weight @model.layers.0.mlp.down_proj.weight: f32[3, 4]
graph main(%x: f32[n, 3]) {
  %u = Gemm(%x, @model.layers.0.mlp.up_proj.weight) {transB = 1}
  %d = Gemm(%u, @model.layers.0.mlp.down_proj.weight) {transB = 1}
  return %d
})");
  model.architecture = "LlamaForCausalLM";
  return model;
}

}  // namespace

TEST_CASE("an importance matrix survives its GGUF form") {
  const ScratchFolder folder;
  formats::ImportanceMatrix matrix;
  matrix.dataset = "some text";
  matrix.chunks = 3;
  matrix.chunk_size = 512;
  matrix.entries["blk.0.ffn_up.weight"] = {{1.5f, 0, 3}, 6};
  matrix.entries["blk.0.ffn_down.weight"] = {{1, 2, 3, 4.25f}, 4};
  REQUIRE(formats::write_importance(matrix, folder.path("imatrix.gguf")));
  const auto read = formats::read_importance(folder.path("imatrix.gguf"));
  if (!read) FAIL(read.error().to_string());
  CHECK(read->dataset == "some text");
  CHECK(read->chunks == 3);
  CHECK(read->chunk_size == 512);
  REQUIRE(read->entries.size() == 2);
  CHECK(read->entries.at("blk.0.ffn_up.weight").sums == std::vector<float>{1.5f, 0, 3});
  CHECK(read->entries.at("blk.0.ffn_up.weight").count == 6);
  const auto named = formats::importance_for(*read, small_llama());
  REQUIRE(named);
  CHECK(named->at("model.layers.0.mlp.up_proj.weight") == std::vector<double>{0.25, 0, 0.5});
  CHECK(named->at("model.layers.0.mlp.down_proj.weight")[3] == 4.25 / 4);
}

TEST_CASE("the older form of importance matrices is read") {
  const ScratchFolder folder;
  const std::string path = folder.write(
      "imatrix.dat", raw(std::int32_t{3}) + dat_entry("blk.0.ffn_up.weight", 2, {1, 2, 3}) +
                         dat_entry("blk.0.attn_q.weight", 0, {5}) + dat_entry("unknown", 1, {7}) +
                         raw(std::int32_t{2}) + raw(std::int32_t{4}) + "text");
  const auto read = formats::read_importance(path);
  if (!read) FAIL(read.error().to_string());
  CHECK(read->dataset == "text");
  CHECK(read->chunks == 2);
  CHECK(read->entries.size() == 2);  // one was never reached
  const auto named = formats::importance_for(*read, small_llama());
  REQUIRE(named);
  CHECK(named->size() == 1);
  CHECK(named->at("model.layers.0.mlp.up_proj.weight") == std::vector<double>{0.5, 1, 1.5});
}

TEST_CASE("importance matrices that lie are refused") {
  const std::string one = dat_entry("blk.0.ffn_up.weight", 2, {1, 2, 3});
  const std::string first = raw(std::int32_t{1}), two = raw(std::int32_t{2});
  CHECK(error_of("") == "truncated: 4 bytes wanted, 0 left");
  CHECK(error_of(raw(std::int32_t{0})) == "it claims 0 entries");
  CHECK(error_of(raw(std::int32_t{1 << 30}) + one) == "it claims 1073741824 entries");
  CHECK(error_of(two + one) == "truncated: 4 bytes wanted, 0 left");
  CHECK(error_of(two + one + one) == "two entries have this name");
  CHECK(error_of(first + one.substr(0, one.size() - 1)).find("truncated") == 0);
  CHECK(error_of(first + dat_entry("a", 1, {std::numeric_limits<float>::quiet_NaN()})) ==
        "a sum of squares is not a number of 0 or more");
  CHECK(error_of(first + dat_entry("a", 1, {-1})) ==
        "a sum of squares is not a number of 0 or more");
  CHECK(error_of(first + dat_entry("a", -1, {1})) == "an entry of 1 values in -1 calls");
  CHECK(error_of(first + raw(std::int32_t{-5}) + one) == "a name of -5 bytes");
  CHECK(error_of(first + dat_entry("a", 0, {1})) == "it holds the importance of no weight");
  CHECK(error_of("GGUF").find("truncated") == 0);
  const ir::Model model = small_llama();
  formats::ImportanceMatrix matrix;
  matrix.entries["blk.7.ffn_up.weight"] = {{1}, 1};
  const auto other = formats::importance_for(matrix, model);
  REQUIRE_FALSE(other);
  CHECK(other.error().message.find("none of which the model has") != std::string::npos);
  matrix.entries["blk.0.ffn_up.weight"] = {{1, 2}, 1};
  const auto narrow = formats::importance_for(matrix, model);
  REQUIRE_FALSE(narrow);
  CHECK(narrow.error().message ==
        "the importance matrix has 2 inputs of 'blk.0.ffn_up.weight', the model 3");
}

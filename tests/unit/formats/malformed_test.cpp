// Files that lie: each is refused with a message, and nothing is read outside them.

#include <algorithm>
#include <cmath>
#include <tuple>

#include "formats/all.h"
#include "formats/gguf/container.h"
#include "formats/huggingface/config.h"
#include "formats/safetensors/reader.h"
#include "ir/decode.h"
#include "unit/catch.h"
#include "unit/support/scratch_folder.h"

namespace thimble::formats {
namespace {

template <class T>
std::string raw(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}
std::string text(const std::string& s) { return raw<std::uint64_t>(s.size()) + s; }

std::string safetensors(const std::string& header, std::size_t data) {
  return raw<std::uint64_t>(header.size()) + header + std::string(data, '\0');
}

std::string refusal_of_safetensors(const std::string& bytes) {
  const ScratchFolder scratch;
  TensorMap tensors;
  const Status status = read_safetensors(scratch.write("a.safetensors", bytes), tensors);
  return status ? "" : status.error().message;
}

TEST_CASE("the share of a head that rotates is a share") {
  const Config config(text::Json::object(), "config.json");
  for (const double partial : {0.0, -0.5, 1.5, 1e300, std::nan("")}) {
    const auto rotary = read_rotary(config, {.partial = partial, .head_dim = 64});
    REQUIRE_FALSE(rotary);
    CHECK(rotary.error().message.find("partial_rotary_factor") != std::string::npos);
  }
  CHECK(read_rotary(config, {.partial = 0.5, .head_dim = 64})->frequencies.size() == 16);
}

TEST_CASE("a good safetensors file is read") {
  const ScratchFolder scratch;
  TensorMap tensors;
  const std::string header =
      R"({"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},)"
      R"("b":{"dtype":"BF16","shape":[],"data_offsets":[8,10]}})";
  REQUIRE(read_safetensors(scratch.write("a.safetensors", safetensors(header, 10)), tensors));
  CHECK(tensors.at("a").dims == std::vector<std::int64_t>{2, 1});
  CHECK(tensors.at("b").offset == 8 + header.size() + 8);
}

TEST_CASE("numbers of 6 bits are read as what they stand for") {
  // All 64 codes in order, in rows of 12 bits that mostly begin inside a byte.
  std::string packed(48, '\0');
  for (unsigned i = 0; i < 64; ++i) {
    for (unsigned b = 0; b < 6; ++b) {
      if ((i >> b & 1) != 0) packed[(6 * i + b) / 8] |= static_cast<char>(1 << (6 * i + b) % 8);
    }
  }
  for (const auto& [name, fraction_bits, bias] :
       {std::tuple{"F6_E2M3", 3, 1}, std::tuple{"F6_E3M2", 2, 3}}) {
    const std::string header =
        std::string(R"({"a":{"dtype":")") + name + R"(","shape":[32,2],"data_offsets":[0,48]}})";
    const ScratchFolder scratch;
    TensorMap tensors;
    REQUIRE(read_safetensors(
        scratch.write("a.safetensors", raw<std::uint64_t>(header.size()) + header + packed),
        tensors));
    const ir::Weight weight = mapped_weight("a", tensors.at("a"));
    for (int code = 0; code < 64; ++code) {
      const auto rows = weight.source->read(code / 2, code / 2 + 1);
      REQUIRE(rows);
      float values[2];
      REQUIRE(ir::decode_dense(weight.dtype, rows->dense, values));
      const int exponent = (code & 31) >> fraction_bits;
      const int fraction =
          (code & ((1 << fraction_bits) - 1)) + (exponent > 0 ? 1 << fraction_bits : 0);
      const float size =
          std::ldexp(static_cast<float>(fraction), std::max(exponent, 1) - bias - fraction_bits);
      CHECK(values[code % 2] == (code >= 32 ? -size : size));
    }
  }
}

TEST_CASE("safetensors files that lie are refused") {
  const auto entry = [](const std::string& name, const std::string& type, const std::string& shape,
                        int begin, int end) {
    return "\"" + name + "\":{\"dtype\":\"" + type + "\",\"shape\":" + shape +
           ",\"data_offsets\":[" + std::to_string(begin) + "," + std::to_string(end) + "]}";
  };
  const std::string good = entry("a", "F32", "[2]", 0, 8);
  using Catch::Matchers::Contains;
  CHECK_THAT(refusal_of_safetensors(""), Contains("truncated"));
  CHECK_THAT(refusal_of_safetensors(raw<std::uint64_t>(1ull << 60) + "{}"), Contains("claims"));
  CHECK_THAT(refusal_of_safetensors(raw<std::uint64_t>(50) + "{}"), Contains("truncated"));
  CHECK_THAT(refusal_of_safetensors(safetensors(" {}", 0)), Contains("start with"));
  CHECK_THAT(refusal_of_safetensors(safetensors("{" + good + "}", 4)), Contains("outside"));
  CHECK_THAT(refusal_of_safetensors(safetensors("{" + good + "}", 12)), Contains("belong to no"));
  CHECK_THAT(refusal_of_safetensors(safetensors("{" + entry("a", "F32", "[2]", 8, 0) + "}", 8)),
             Contains("outside"));
  CHECK_THAT(refusal_of_safetensors(safetensors("{" + entry("a", "F32", "[3]", 0, 8) + "}", 8)),
             Contains("shape"));
  CHECK_THAT(refusal_of_safetensors(safetensors("{" + good + "," + good + "}", 8)),
             !Catch::Matchers::Equals(""));
  CHECK_THAT(refusal_of_safetensors(
                 safetensors("{" + good + "," + entry("b", "F32", "[1]", 4, 8) + "}", 8)),
             Contains("overlap"));
  CHECK_THAT(refusal_of_safetensors(
                 safetensors("{" + good + "," + entry("b", "F32", "[1]", 12, 16) + "}", 16)),
             Contains("hole"));
  CHECK_THAT(refusal_of_safetensors(safetensors("{" + entry("a", "F6_X", "[2]", 0, 8) + "}", 8)),
             Contains("BF16"));
  const std::string huge = "[4611686018427387904,4611686018427387904,16]";
  CHECK_THAT(refusal_of_safetensors(safetensors("{" + entry("a", "F32", huge, 0, 8) + "}", 8)),
             Contains("shape"));
  CHECK_THAT(refusal_of_safetensors(safetensors(std::string(1'000'000, '['), 0)),
             !Catch::Matchers::Equals(""));
  CHECK_THAT(refusal_of_safetensors(safetensors("{\"a\":" + std::string(100'000, '['), 0)),
             !Catch::Matchers::Equals(""));
}

TEST_CASE("an index cannot lead out of its folder") {
  const ScratchFolder scratch;
  std::vector<std::string> files;
  for (const char* shard : {"../x.safetensors", "/etc/passwd", "..", "a/b"}) {
    scratch.write("model.safetensors.index.json",
                  std::string(R"({"weight_map":{"w":")") + shard + "\"}}");
    const auto read = read_safetensors_folder(scratch.path(), files);
    REQUIRE_FALSE(read.has_value());
    CHECK(read.error().message.find("leaves the folder") != std::string::npos);
  }
}

TEST_CASE("an index that names tensors which no shard holds is refused") {
  const ScratchFolder scratch;
  std::vector<std::string> files;
  scratch.write("model.safetensors.index.json", R"({"weight_map":{"w":"m.safetensors"}})");
  scratch.write("m.safetensors", safetensors("{}", 0));
  const auto read = read_safetensors_folder(scratch.path(), files);
  REQUIRE_FALSE(read.has_value());
  CHECK(read.error().place.tensor == "w");
}

// A GGUF file of one key and one tensor, with any part replaced.
struct Gguf {
  std::uint32_t version = 3, rank = 1, type = 0;
  std::uint64_t tensors = 1, keys = 1, dim = 8, offset = 0, name = 1;
  std::uint32_t alignment = 32;
  std::size_t data = 32;
  std::string bytes() const {
    std::string out = "GGUF" + raw(version) + raw(tensors) + raw(keys);
    out += text("general.alignment") + raw<std::uint32_t>(4) + raw(alignment);
    out += raw(name) + "t" + raw(rank);
    for (std::uint32_t i = 0; i < std::min<std::uint32_t>(rank, 16); ++i) out += raw(dim);
    out += raw(type) + raw(offset);
    const std::size_t base = alignment > 0 && alignment < 65'536 ? alignment : 32;
    out.resize((out.size() + base - 1) / base * base);
    return out + std::string(data, '\0');
  }
};

std::string refusal_of_gguf(const std::string& bytes) {
  const ScratchFolder scratch;
  const auto read = gguf::read_container(scratch.write("a.gguf", bytes));
  return read ? "" : read.error().message;
}

TEST_CASE("GGUF containers that lie are refused") {
  using Catch::Matchers::Contains;
  REQUIRE(refusal_of_gguf(Gguf{}.bytes()) == "");
  CHECK_THAT(refusal_of_gguf(Gguf{.version = 1}.bytes()), Contains("version 1"));
  CHECK_THAT(refusal_of_gguf(Gguf{.version = 3u << 24}.bytes()), Contains("big-endian"));
  CHECK_THAT(refusal_of_gguf(Gguf{.tensors = 1ull << 62}.bytes()), Contains("claims"));
  CHECK_THAT(refusal_of_gguf(Gguf{.keys = ~0ull}.bytes()), Contains("claims"));
  CHECK_THAT(refusal_of_gguf(Gguf{.alignment = 0}.bytes()), Contains("alignment"));
  CHECK_THAT(refusal_of_gguf(Gguf{.alignment = 24}.bytes()), Contains("alignment"));
  CHECK_THAT(refusal_of_gguf(Gguf{.alignment = 1u << 31}.bytes()), Contains("alignment"));
  CHECK_THAT(refusal_of_gguf(Gguf{.rank = 4'000'000'000u}.bytes()), Contains("dimensions"));
  CHECK_THAT(refusal_of_gguf(Gguf{.dim = 0}.bytes()), Contains("dimension"));
  CHECK_THAT(refusal_of_gguf(Gguf{.dim = 1ull << 63}.bytes()), Contains("dimension"));
  CHECK_THAT(refusal_of_gguf(Gguf{.rank = 3, .dim = 1ull << 32}.bytes()), Contains("too many"));
  CHECK_THAT(refusal_of_gguf(Gguf{.dim = 1ull << 62}.bytes()), Contains("too large"));
  CHECK_THAT(refusal_of_gguf(Gguf{.dim = 9}.bytes()), Contains("outside"));
  CHECK_THAT(refusal_of_gguf(Gguf{.offset = 32}.bytes()), Contains("outside"));
  CHECK_THAT(refusal_of_gguf(Gguf{.offset = ~0ull - 31}.bytes()), Contains("outside"));
  CHECK_THAT(refusal_of_gguf(Gguf{.offset = 8}.bytes()), Contains("aligned"));
  CHECK_THAT(refusal_of_gguf(Gguf{.offset = 32, .data = 64}.bytes()), Contains("hole"));
  CHECK_THAT(refusal_of_gguf(Gguf{.name = ~0ull}.bytes()), Contains("truncated"));
  CHECK_THAT(refusal_of_gguf(Gguf{.type = 2}.bytes()), Contains("whole blocks"));
  CHECK_THAT(refusal_of_gguf(Gguf{.type = 99}.bytes()), Contains("not supported"));
  CHECK_THAT(refusal_of_gguf("GGUF"), Contains("truncated"));
}

TEST_CASE("formats that are not sources are refused with a remedy") {
  const ScratchFolder scratch;
  const auto refusal = [&](const std::string& name, const std::string& bytes) {
    const auto read = read_model(scratch.write(name, bytes), {});
    REQUIRE_FALSE(read.has_value());
    return read.error();
  };
  CHECK(refusal("a.thimble", "THIMBLE\0").remedy.find("made from") != std::string::npos);
  CHECK(refusal("a.onnx", "x").code == ErrorCode::kInvalidFile);
  CHECK(refusal("a.pt", "PK").message.find("execute code") != std::string::npos);
  const auto missing = read_model("no-such-org/no-such-model", {});
  REQUIRE_FALSE(missing.has_value());
  CHECK(missing.error().remedy == "hf download no-such-org/no-such-model");
}

}  // namespace
}  // namespace thimble::formats

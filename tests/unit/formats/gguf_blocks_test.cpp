// Every block type against PyPI's gguf package (scripts/oracle/gguf_blocks.py), bit for bit.

#include <cstring>

#include "data/npz.h"
#include "formats/gguf/blocks.h"
#include "ir/decode.h"
#include "unit/catch.h"

namespace thimble::formats::gguf {
namespace {

const std::string kFixture = std::string(THIMBLE_SOURCE_DIR) + "/tests/data/oracle/gguf_blocks.npz";

struct Decoded {
  ir::Rows rows;
  std::vector<float> values;
};

Decoded decode(const BlockType& type, const data::Array& blocks) {
  Decoded out;
  const auto* first = reinterpret_cast<const std::uint8_t*>(blocks.bytes.data());
  out.rows.count = blocks.dims[0];
  for (std::int64_t i = 0; i < out.rows.count; ++i) {
    REQUIRE(type.unpack(first + i * type.bytes, out.rows));
  }
  out.values.resize(static_cast<std::size_t>(out.rows.count) * type.elements);
  REQUIRE(ir::decode_rows(type.encoding(), ir::DType::kF32, out.rows, type.elements, out.values));
  return out;
}

TEST_CASE("blocks decode to the bits that the gguf package gives") {
  const auto arrays = data::read_npz(kFixture);
  REQUIRE(arrays.has_value());
  int seen = 0;
  for (const BlockType& type : block_types()) {
    if (type.unpack == nullptr) continue;
    CAPTURE(type.name);
    const auto* blocks = data::find(*arrays, std::string(type.name) + ".blocks");
    const auto* values = data::find(*arrays, std::string(type.name) + ".values");
    REQUIRE((blocks != nullptr && values != nullptr));
    REQUIRE(blocks->dims[1] == type.bytes);
    const Decoded decoded = decode(type, *blocks);
    REQUIRE(values->bytes.size() == decoded.values.size() * 4);
    for (std::size_t i = 0; i < decoded.values.size(); ++i) {
      float expected;
      std::memcpy(&expected, values->bytes.data() + 4 * i, 4);
      CAPTURE(i);
      REQUIRE(decoded.values[i] == expected);
    }
    ++seen;
  }
  CHECK(seen == 15);
}

TEST_CASE("packing what was unpacked gives the same bytes") {
  const auto arrays = data::read_npz(kFixture);
  REQUIRE(arrays.has_value());
  for (const BlockType& type : block_types()) {
    if (type.elements != 32 && type.name != "TQ2_0" && type.name != "NVFP4") continue;
    CAPTURE(type.name);
    const auto* blocks = data::find(*arrays, std::string(type.name) + ".blocks");
    REQUIRE(blocks != nullptr);
    const Decoded decoded = decode(type, *blocks);
    const std::size_t scales = type.name == "NVFP4" ? 4 : 1;
    std::vector<std::uint8_t> again(static_cast<std::size_t>(type.bytes));
    for (std::size_t i = 0; i < static_cast<std::size_t>(blocks->dims[0]); ++i) {
      const auto* codes = decoded.rows.codes.data() + static_cast<std::size_t>(type.elements) * i;
      const float minimum = decoded.rows.minima.empty() ? 0.0f : decoded.rows.minima[i];
      pack(type, codes, decoded.rows.scales.data() + scales * i, minimum, again.data());
      CHECK(std::memcmp(again.data(), blocks->bytes.data() + i * again.size(), again.size()) == 0);
    }
  }
}

TEST_CASE("a scale that is not a number is noticed") {
  for (const BlockType& type : block_types()) {
    if (type.unpack == nullptr) continue;
    CAPTURE(type.name);
    std::vector<std::uint8_t> block(static_cast<std::size_t>(type.bytes), 0xff);  // NaN everywhere
    ir::Rows rows;
    CHECK_FALSE(type.unpack(block.data(), rows));
  }
}

TEST_CASE("types that cannot be read are refused by name") {
  const auto type = find_block_type(23);
  REQUIRE_FALSE(type.has_value());
  CHECK(type.error().code == ErrorCode::kUnsupported);
  CHECK(type.error().message.find("IQ4_XS") != std::string::npos);
  CHECK(type.error().message.find("Q6_K") != std::string::npos);
}

}  // namespace
}  // namespace thimble::formats::gguf

#include "lower/payload.h"
#include "unit/catch.h"

namespace thimble::lower {
namespace {

ir::Weight four_bits(std::int64_t inputs, std::int64_t group_size) {
  ir::Weight weight = ir::make_dense(
      "w", {32, inputs}, std::vector<float>(static_cast<std::size_t>(32 * inputs), 0.5F));
  weight.encoding.kind = ir::EncodingKind::kAffine;
  weight.encoding.bits = 4;
  weight.encoding.group_size = group_size;
  weight.encoding.constant_zero = 8;
  return weight;
}

}  // namespace

TEST_CASE("tiles take groups that kernels read, and refuse the others") {
  for (const std::int64_t group_size : {0, 16, 32, 96, 100}) {
    CAPTURE(group_size);
    CHECK(tile_tensor(four_bits(96, group_size)).has_value());
  }
  for (const std::int64_t group_size : {8, 24, 48}) {
    CAPTURE(group_size);
    const auto tensor = tile_tensor(four_bits(96, group_size));
    REQUIRE_FALSE(tensor.has_value());
    CHECK(tensor.error().code == ErrorCode::kUnsupported);
    CHECK(tensor.error().place.tensor == "w");
  }
}

}  // namespace thimble::lower

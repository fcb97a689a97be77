#include "ir/weight.h"

#include <limits>

#include "ir/turned.h"
#include "unit/catch.h"

using namespace thimble::ir;

TEST_CASE("the matrix view of dense and encoded weights") {
  Weight w;
  w.dims = {4, 3, 5};
  CHECK(w.rows() == 4);
  CHECK(w.inputs() == 15);
  w.dims = {7};
  CHECK(w.rows() == 1);
  CHECK(w.inputs() == 7);
  w.dims = {};
  CHECK(w.element_count() == 1);
  CHECK(w.byte_size() == 4);
  w.dims = {4, 6};
  w.encoding.kind = EncodingKind::kAffine;
  w.encoding.bits = 4;
  CHECK(w.rows() == 4);
  CHECK(w.inputs() == 6);
  w.encoding.axis = 0;
  CHECK(w.rows() == 6);
  CHECK(w.inputs() == 4);
  w.dims = {std::numeric_limits<std::int64_t>::max(), 2};
  CHECK(w.element_count() == std::numeric_limits<std::int64_t>::max());
}

TEST_CASE("dense rows in memory") {
  const std::vector<float> values = {1, 2, 3, 4, 5, 6};
  const Weight w = make_dense("w", {3, 2}, values);
  const auto rows = w.source->read(1, 3);
  REQUIRE(rows.has_value());
  CHECK(rows->count == 2);
  REQUIRE(rows->dense.size() == 16);
  CHECK(reinterpret_cast<const float*>(rows->dense.data())[0] == 3);
  CHECK(w.source->in_place().size() == 24);
  CHECK(*read_floats(w) == values);
  CHECK_FALSE(read_integers(w).has_value());
  const std::vector<std::int64_t> numbers = {-1, 7};
  CHECK(*read_integers(make_dense("i", {2}, numbers)) == numbers);
}

TEST_CASE("encoded rows in memory read back in the weight's own order") {
  Weight w;
  w.name = "w";
  w.dims = {2, 3};  // [K, N]: inputs along axis 0
  w.encoding.kind = EncodingKind::kAffine;
  w.encoding.bits = 4;
  w.encoding.constant_zero = 8;
  w.encoding.axis = 0;
  Rows rows;
  rows.codes = {9, 10, 11, 12, 13, 14};  // [N = 3][K = 2]
  rows.scales = {1, 10, 100};
  w.source = owned_rows(w, rows);
  CHECK(*read_floats(w) == std::vector<float>{1, 30, 500, 2, 40, 600});
  const auto middle = w.source->read(1, 2);
  REQUIRE(middle.has_value());
  CHECK(middle->codes == std::vector<std::uint8_t>{11, 12});
  CHECK(middle->scales == std::vector<float>{10});
}

namespace {

// 0, 0.5, 1 and 1.5 in two rows, in 8 bits with one scale.
Weight with_one_scale() {
  Weight w;
  w.dtype = DType::kF16;
  w.dims = {2, 2};
  w.encoding.kind = EncodingKind::kAffine;
  w.encoding.bits = 8;
  w.encoding.per_tensor = true;
  w.encoding.constant_zero = 128;
  Rows rows;
  rows.codes = {128, 129, 130, 131};
  rows.scales = {0.5f};
  w.source = owned_rows(w, rows);
  return w;
}

}  // namespace

TEST_CASE("a per-tensor scale comes with every range of rows") {
  const Weight w = with_one_scale();
  CHECK(w.source->read(1, 2)->scales == std::vector<float>{0.5f});
  CHECK(*read_floats(w) == std::vector<float>{0, 0.5f, 1, 1.5f});
}

TEST_CASE("a weight without a source says so") {
  Weight w;
  w.name = "missing";
  w.dims = {2};
  const auto values = read_floats(w);
  REQUIRE_FALSE(values.has_value());
  CHECK(values.error().place.tensor == "missing");
}

TEST_CASE("a turned matrix has rows for inputs, and an encoded one its numbers") {
  const Weight dense = turned(make_dense("w", {2, 3}, std::vector<std::int64_t>{1, 2, 3, 4, 5, 6}));
  CHECK(dense.dtype == DType::kI64);
  CHECK(dense.dims == std::vector<std::int64_t>{3, 2});
  CHECK(*read_integers(dense) == std::vector<std::int64_t>{1, 4, 2, 5, 3, 6});
  const auto middle = dense.source->read(1, 2);
  REQUIRE(middle.has_value());
  CHECK(middle->count == 1);
  CHECK(middle->dense.size() == 2 * sizeof(std::int64_t));

  const Weight w = with_one_scale();
  CHECK(turned(w).dtype == DType::kF32);
  CHECK(*read_floats(turned(w)) == std::vector<float>{0, 1, 0.5f, 1.5f});
}

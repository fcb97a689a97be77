#include "ir/dim_range.h"

#include "ir/model.h"
#include "unit/catch.h"
#include "unit/ir/parsed.h"

using namespace thimble::ir;

namespace {

std::string shape_of(const Model& model, const std::string& value) {
  return to_string(*model.graph.value(*model.graph.find_value(value)).shape);
}

}  // namespace

TEST_CASE("sizes and ranges are read") {
  const auto ranges = parse_dim_ranges("batch=1,seq=1..512");
  REQUIRE(ranges.has_value());
  CHECK(ranges->at("batch") == DimRange{1, 1});
  CHECK(ranges->at("seq") == DimRange{1, 512});
  CHECK(to_string(*ranges) == "batch=1,seq=1..512");
  for (const char* wrong :
       {"", "seq", "=3", "seq=-1", "seq=a", "seq=3..2", "seq=1,seq=2", "a=1,"}) {
    INFO(wrong);
    CHECK_FALSE(parse_dim_ranges(wrong).has_value());
  }
}

TEST_CASE("ranges settle the larger of two sizes") {
  const DimRanges ranges = *parse_dim_ranges("seq=1..512,n=4");
  const Dim seq = Dim::symbol("seq");
  CHECK(simplified(Dim::max(seq, 512), ranges) == Dim(512));
  CHECK(simplified(Dim::max(seq, 1), ranges) == seq);
  CHECK(simplified(Dim::max(seq, 2), ranges) == Dim::max(seq, 2));
  CHECK(simplified(seq + Dim(512) - Dim::max(seq, 512), ranges) == seq);
  CHECK(simplified(Dim::floor_div(seq, 1024), ranges) == Dim(0));
  CHECK(simplified(Dim::max(0, seq - Dim(600)), ranges) == Dim(0));
}

TEST_CASE("a bound symbol is a number everywhere, and a range is kept") {
  Model model = thimble::test::inferred(R"(weight @starts: i64[1] = [0]
weight @ends: i64[1] = [512]
weight @axes: i64[1] = [1]
graph main(%x: f32[batch, seq, 4]) {
  %y = Slice(%x, @starts, @ends, @axes)
  return %y
})");
  CHECK(shape_of(model, "y") == "[batch, -max(512, seq) + seq + 512, 4]");
  REQUIRE(bind_dims(model, *parse_dim_ranges("batch=2,seq=1..512")).has_value());
  CHECK(shape_of(model, "y") == "[2, seq, 4]");
  CHECK(dim_ranges(model.metadata) == *parse_dim_ranges("batch=2,seq=1..512"));
  REQUIRE(infer_shapes(model).has_value());
  CHECK(shape_of(model, "y") == "[2, seq, 4]");
}

TEST_CASE("a size that no input has is refused") {
  Model model =
      thimble::test::inferred("graph main(%x: f32[batch, 4]) {\n  %y = Relu(%x)\n  return %y\n}");
  const auto status = bind_dims(model, *parse_dim_ranges("batches=1"));
  REQUIRE_FALSE(status.has_value());
  CHECK(status.error().message == "no input has a size 'batches' (did you mean 'batch'?)");
}

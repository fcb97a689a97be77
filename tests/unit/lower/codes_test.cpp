// Which nodes between fixed scales compute on codes.

#include <string>
#include <vector>

#include "ir/model.h"
#include "lower/lower.h"
#include "unit/catch.h"

namespace thimble::lower {
namespace {

std::vector<std::string> instructions_of(const std::string& text) {
  Expected<ir::Model> model = ir::parse(text);
  REQUIRE(model.has_value());
  REQUIRE(ir::infer_shapes(*model).has_value());
  const auto lowered = lower(*model);
  REQUIRE(lowered.has_value());
  std::vector<std::string> names;
  for (const program::Instruction& i : lowered->program.regions[0].instructions)
    names.emplace_back(program::find_rule(i.op)->name);
  return names;
}

const std::string kWeights = R"(weight @w: f32[4, 4, 1, 1] as int8 per-channel symmetric f32 flat
weight @d: f32[4, 1, 3, 3] as int8 per-channel symmetric f32 flat
weight @v: f32[4, 8, 1, 1] as int4 per-channel symmetric f32 flat
)";

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("values between fixed scales stay codes; other readers get floats") {
  CHECK(instructions_of(kWeights + R"(graph main(%x: f32[1, 4, 8, 8] as int8(0.05, -3)) {
  %a = Conv(%x, @w)
  %b: f32[1, 4, 8, 8] as int8(0.05, -127) = Relu(%a)
  %c: f32[1, 4, 8, 8] as int8(0.04, 0) = Conv(%b, @d) {group = 4, pads = [1, 1, 1, 1]}
  %e: f32[1, 4, 8, 8] as int8(0.06, 0) = Add(%b, %c)
  %p: f32[1, 4, 4, 4] as int8(0.06, 0) = MaxPool(%e) {kernel_shape = [2, 2], strides = [2, 2]}
  %g: f32[1, 4, 1, 1] as int8(0.06, 0) = GlobalAveragePool(%p)
  %t = Tanh(%g)
  return %t
}
)") == Names{"EncodeImage", "ConvCodes", "ConvCodes", "MixCodes", "MaxPoolCodes",
             "AveragePoolCodes", "DecodeImage", "Unary"});
}

TEST_CASE("a result without a scale, a cut that is not known or other codes take floats") {
  CHECK(instructions_of(kWeights + R"(graph main(%x: f32[1, 4, 8, 8] as int8(0.05, -3)) {
  %a = Conv(%x, @w)
  return %a
}
)") == Names{"ConvTiles"});
  CHECK(instructions_of(kWeights +
                        R"(graph main(%x: f32[1, 4, 8, 8] as int8(0.05, -3), %most: f32[]) {
  %a = Conv(%x, @w)
  %b: f32[1, 4, 8, 8] as int8(0.05, -127) = Clip(%a, %most)
  %y = Tanh(%b)
  return %y
}
)")[0] == "ConvTiles");
  CHECK(instructions_of(kWeights + R"(graph main(%x: f32[1, 4, 8, 8] as int8(0.05, -3)) {
  %j: f32[1, 8, 8, 8] as int8(0.05, -3) = Concat(%x, %x) {axis = 1}
  %a: f32[1, 4, 8, 8] as int8(0.05, -127) = Conv(%j, @v)
  %y = Tanh(%a)
  return %y
}
)") == Names{"EncodeImage", "ConcatCodes", "DecodeImage", "ConvTiles"});
}

}  // namespace thimble::lower

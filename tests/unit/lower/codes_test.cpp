// Which nodes between fixed scales compute on codes.

#include <string>
#include <vector>

#include "ir/model.h"
#include "lower/lower.h"
#include "unit/catch.h"
#include "unit/ir/parsed.h"

namespace thimble::lower {
namespace {

std::vector<std::string> instructions_of(const std::string& text) {
  const auto lowered = lower(test::inferred(text));
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
)") == Names{"EncodeImage", "ConcatCodes", "DecodeImage", "ConvTiles", "RoundToCodes", "Unary"});
}

TEST_CASE("what computes on floats between fixed scales reads them rounded") {
  const std::string start = kWeights + "graph main(%x: f32[1, 4, 8, 8] as int8(0.05, -127)) {\n";
  // A convolution whose result has no scale multiplies no tiles where its groups are small.
  CHECK(instructions_of(start + R"(  %a = Conv(%x, @d) {group = 4}
  return %a
}
)") == Names{"RoundToCodes", "Conv"});
  // Each value is rounded once, and one that is no step between scales not at all.
  CHECK(instructions_of(start + R"(  %s: f32[1, 4, 8, 8] as int8(0.004, -127) = Sigmoid(%x)
  %m: f32[1, 4, 8, 8] as int8(0.04, -100) = Mul(%x, %s)
  %t = Tanh(%m)
  %e = Exp(%x)
  return %t, %e
}
)") == Names{"RoundToCodes", "Unary", "RoundToCodes", "Binary", "RoundToCodes", "Unary", "Unary"});
}

const std::string kDynamic = R"(weight @w: i8[4, 6]
weight @u: u8[4, 6]
weight @p: u8[] = [117]
weight @s: f32[6] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
weight @one: f32[] = [0.5]
weight @b: f32[6]
)";

TEST_CASE("a product whose input is measured as it runs is one instruction") {
  const auto product = [](const std::string& weight, const std::string& zero) {
    return kDynamic + R"(graph main(%x: f32[3, 4]) {
  %q, %scale, %z = DynamicQuantizeLinear(%x)
  %i = MatMulInteger(%q, @)" +
           weight + ", %z" + zero + R"()
  %f = Cast(%i) {to = 1}
  %k = Mul(%scale, @s)
  %m = Mul(%f, %k)
  %y = Add(@b, %m)
  return %y
}
)";
  };
  CHECK(instructions_of(product("w", "")) == Names{"DynamicQuantizeLinear", "MultiplyCodes"});
  CHECK(instructions_of(product("u", "")) == Names{"DynamicQuantizeLinear", "MultiplyCodes"});
  CHECK(instructions_of(product("u", ", @p")) == Names{"DynamicQuantizeLinear", "MultiplyCodes"});
}

TEST_CASE("a convolution whose input is measured as it runs is one instruction") {
  const auto convolution = [](const std::string& weight, const std::string& group,
                              const std::string& bias = "6") {
    return R"(weight @w: i8[6, 4, 3, 3]
weight @g: u8[6, 2, 3, 3]
weight @d: i8[8, 1, 3, 3]
weight @p: u8[] = [117]
weight @s: f32[] = [0.5]
weight @b: f32[1, )" +
           bias + R"(, 1, 1]
graph main(%x: f32[1, 4, 8, 8]) {
  %q, %scale, %z = DynamicQuantizeLinear(%x)
  %i = ConvInteger(%q, @)" +
           weight + ") {group = " + group + R"(}
  %f = Cast(%i) {to = 1}
  %k = Mul(%scale, @s)
  %m = Mul(%f, %k)
  %y = Add(%m, @b)
  return %y
}
)";
  };
  CHECK(instructions_of(convolution("w, %z", "1")) ==
        Names{"DynamicQuantizeLinear", "MultiplyCodes"});
  CHECK(instructions_of(convolution("g, %z, @p", "2")) ==
        Names{"DynamicQuantizeLinear", "MultiplyCodes"});
  // By channels: the loops.
  CHECK(instructions_of(convolution("d, %z", "4", "8"))[1] == "ConvInteger");
}

TEST_CASE("a product of codes whose sums or scales are other readers' too is spelled out") {
  CHECK(instructions_of(kDynamic + R"(graph main(%x: f32[3, 4]) {
  %q, %scale, %z = DynamicQuantizeLinear(%x)
  %i = MatMulInteger(%q, @w, %z)
  %f = Cast(%i) {to = 1}
  %k = Mul(@one, %scale)
  %m = Mul(%k, %f)
  %t = Tanh(%f)
  return %m, %t
}
)")[1] == "MatMulInteger");
  // The scales' product is left where it has another reader; a scale that comes from elsewhere may
  // come too late.
  CHECK(instructions_of(kDynamic + R"(graph main(%x: f32[3, 4]) {
  %q, %scale, %z = DynamicQuantizeLinear(%x)
  %k = Mul(@one, %scale)
  %i = MatMulInteger(%q, @w, %z)
  %f = Cast(%i) {to = 1}
  %m = Mul(%k, %f)
  return %m, %k
}
)") == Names{"DynamicQuantizeLinear", "Binary", "MultiplyCodes"});
  CHECK(instructions_of(kDynamic + R"(graph main(%x: f32[3, 4], %v: f32[]) {
  %q, %scale, %z = DynamicQuantizeLinear(%x)
  %i = MatMulInteger(%q, @w, %z)
  %f = Cast(%i) {to = 1}
  %k = Mul(%v, @s)
  %m = Mul(%f, %k)
  return %m
}
)")[1] == "MatMulInteger");
}

}  // namespace thimble::lower

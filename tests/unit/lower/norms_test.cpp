// Sums that are normalized at once.

#include <string>
#include <vector>

#include "ir/model.h"
#include "lower/lower.h"
#include "unit/catch.h"
#include "unit/ir/parsed.h"

namespace thimble::lower {
namespace {

std::vector<program::Instruction> instructions_of_norm(const std::string& body) {
  const ir::Model model = test::inferred(R"(weight @s: f32[4]
weight @c: f32[4]
weight @m: f32[4, 4]
graph main(%x: f32[3, 4], %r: f32[3, 4], %one: f32[4]) {
)" + body + "}\n");
  const auto lowered = lower(model);
  REQUIRE(lowered.has_value());
  return lowered->program.regions[0].instructions;
}

using program::Op;

}  // namespace

TEST_CASE("a sum and its norm are one instruction, which gives the sum where others read it") {
  const auto layer = instructions_of_norm(R"(  %h = Add(%x, %r)
  %y = LayerNormalization(%h, @s, @c) {axis = -1}
  return %y
)");
  REQUIRE(layer.size() == 1);
  CHECK(layer[0].op == Op::kLayerNorm);
  CHECK(layer[0].inputs.size() == 4);
  CHECK(layer[0].outputs.size() == 1);
  const auto rms = instructions_of_norm(R"(  %h = Add(%x, %r)
  %n = RMSNormalization(%h, @s) {axis = -1}
  %y = Add(%n, %h)
  return %y
)");
  REQUIRE(rms.size() == 2);
  CHECK(rms[0].op == Op::kRmsNorm);
  CHECK(rms[0].inputs.size() == 3);
  CHECK(rms[0].outputs.size() == 2);
  CHECK(rms[1].op == Op::kBinary);
}

TEST_CASE("a sum that spreads, or a norm that waits for another value, stays two") {
  CHECK(instructions_of_norm(R"(  %h = Add(%x, %one)
  %y = LayerNormalization(%h, @s, @c) {axis = -1}
  return %y
)")[0]
            .op == Op::kBinary);
  CHECK(instructions_of_norm(R"(  %h = Add(%x, %r)
  %y = LayerNormalization(%h, %one, @c) {axis = -1}
  return %y
)")[0]
            .op == Op::kBinary);
}

}  // namespace thimble::lower

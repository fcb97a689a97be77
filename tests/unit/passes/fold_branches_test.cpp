#include "unit/passes/same_results.h"

using namespace thimble::test;

namespace {

// Both branches have a constant and a value of names that the graph around them has too, and a body
// inside that captures these.
const std::string kBranches = R"(weight @yes: bool[] = [1]
weight @w: f32[] = [3.0]
weight @other: f32[] = [5.0]
weight @unused: f32[] = [7.0]
body inner() captures (%t: f32[2], %x: f32[2]) {
  %i: f32[2] = Sub(%t, %x)
  return %i
}
body inner_else() captures (%t: f32[2]) {
  %i: f32[2] = Neg(%t)
  return %i
}
body then() captures (%x: f32[2], %flag: bool[]) {
  %w = @other
  %t: f32[2] = Mul(%x, %w)
  %u: f32[2] = If(%flag) {else_branch = #1, then_branch = #0}
  return %u, %t
}
body else() captures (%x: f32[2]) {
  %t: f32[2] = Mul(%x, @unused)
  return %t, %t
}
)";

}  // namespace

TEST_CASE("fold-branches puts the branch that is taken in the If's place") {
  const auto model = lossless("fold-branches", kBranches + R"(
graph main(%x: f32[2], %flag: bool[]) {
  %t: f32[2] = Add(%x, @w)
  %a: f32[2], %b: f32[2] = If(@yes) {else_branch = #3, then_branch = #2}
  %c: f32[2] = Add(%a, %t)
  return %c, %b
})");
  CHECK(nodes_of(model) ==
        "t = Add(x, w)\n"
        "t.1 = Mul(x, w.1)\n"
        "u = If(flag)\n"
        "a = Identity(u)\n"
        "b = Identity(t.1)\n"
        "c = Add(a, t)\n");
}

TEST_CASE("remove-dead-code drops the bodies that no node has any more") {
  const std::string text = kBranches + R"(
graph main(%x: f32[2], %flag: bool[]) {
  %a: f32[2], %b: f32[2] = If(@yes) {else_branch = #3, then_branch = #2}
  return %a, %b
})";
  const auto model = lossless("simplify", text);
  CHECK(model.graphs.size() == 2);
  CHECK(std::none_of(model.weights.begin(), model.weights.end(),
                     [](const auto& weight) { return weight.name == "unused"; }));
}

TEST_CASE("fold-branches leaves an If that asks what the model is given") {
  const PassRun run = run_pass("fold-branches", kBranches + R"(
graph main(%x: f32[2], %flag: bool[]) {
  %a: f32[2], %b: f32[2] = If(%flag) {else_branch = #3, then_branch = #2}
  return %a, %b
})");
  CHECK(run.report.passes[0].changes == 0);
}

#include "unit/passes/same_results.h"

using namespace thimble::test;

TEST_CASE("remove-identities drops what changes nothing") {
  CHECK(nodes_of(lossless("remove-identities", R"(
weight @shape: i64[3] = [0, -1, 4]
weight @zero: f32[1] = [0.0]
weight @one: f32[] = [1.0]
graph main(%x: f32[n, 2, 4], %y: f32[n, 2, 4]) {
  %a = Identity(%x)
  %b = Reshape(%a, @shape)
  %c = Cast(%b) {to = 1}
  %d = Transpose(%c) {perm = [0, 1, 2]}
  %e = Concat(%d) {axis = 1}
  %f = Add(@zero, %e)
  %g = Mul(%f, @one)
  %h = Div(%g, @one)
  %i = Sub(%h, @zero)
  %z = Add(%i, %y)
  %out = Identity(%z)
  return %out
})")) == "out = Add(x, y)\n");
}

TEST_CASE("remove-identities leaves what only looks idle") {
  const std::string text = R"(weight @zeros: f32[2, 4] = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
weight @back: i64[1] = [-1]
weight @far: i64[1] = [-9]
weight @end: i64[1] = [9]
weight @zero: f32[1, 1, 1] = [0.0]
graph main(%x: f32[4], %y: f32[2, 2]) {
  %a: f32[4] = Slice(%x, @back, @far, _, @back)
  %b: f32[2, 2] = Transpose(%y) {perm = [1, 0]}
  %c: f32[1, 1, 4] = Add(%a, @zero)
  %d: f32[4] = Identity(%x)
  return %a, %b, %c, %d
}
)";
  const PassRun run = run_pass("remove-identities", text);
  CHECK(run.error.empty());
  CHECK(run.report.passes.at(0).changes == 0);  // %d is an output and can't be the input itself
}

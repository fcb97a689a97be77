#include "unit/passes/run_pass.h"

using namespace thimble::test;

TEST_CASE("remove-dead-code drops chains, constants and weights") {
  const PassRun run = run_pass("remove-dead-code", R"(
weight @used: f32[2] = [1.0, 2.0]
weight @unused: f32[2] = [3.0, 4.0]
weight @never: i64[1] = [0]
graph main(%x: f32[n, 2], %idle: f32[n]) {
  %y = Add(%x, @used)
  %a = Mul(%x, @unused)
  %b = Relu(%a)
  %p, %q = Split(%x) {axis = 1}
  %z = Neg(%q)
  return %y, %z
})");
  CHECK(run.error.empty());
  CHECK(thimble::ir::print(run.model) == R"(weight @used: f32[2] = [1.0, 2.0]
graph main(%x: f32[n, 2], %idle: f32[n]) {
  %y: f32[n, 2] = Add(%x, @used)
  %p: f32[n, 1], %q: f32[n, 1] = Split(%x) {axis = 1}
  %z: f32[n, 1] = Neg(%q)
  return %y, %z
}
)");
  CHECK(run.report.passes.at(0).changes == 4);
}

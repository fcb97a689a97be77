#include "unit/passes/same_results.h"

using namespace thimble::test;

TEST_CASE("share-weights keeps one of equal weights and names the others") {
  const std::string text = R"(
weight @a: f32[2, 2] = [1.0, 2.0, 3.0, 4.0]
weight @b: f32[2, 2] = [1.0, 2.0, 3.0, 4.0]
weight @c: f32[2, 2] = [1.0, 2.0, 3.0, 5.0]
weight @d: f32[4] = [1.0, 2.0, 3.0, 4.0]
graph main(%x: f32[n, 2], %y: f32[n, 4]) {
  %p = MatMul(%x, @a)
  %q = MatMul(%p, @b)
  %r = MatMul(%q, @c)
  %s = Add(%y, @d)
  return %r, %s
})";
  CHECK(nodes_of(lossless("share-weights", text)) ==
        "p = MatMul(x, a)\nq = MatMul(p, a)\nr = MatMul(q, c)\ns = Add(y, d)\n");
  const PassRun run = run_pass("share-weights", text);
  REQUIRE(run.report.passes.at(0).decisions.size() == 1);
  CHECK(run.report.passes[0].decisions[0].tensor == "b");
  CHECK(run.report.passes[0].decisions[0].why == "the same as a");
}

TEST_CASE("share-expressions computes once what is alike") {
  CHECK(nodes_of(lossless("share-expressions", R"(
graph main(%x: f32[n, 2]) {
  %a = Transpose(%x) {perm = [1, 0]}
  %b = Transpose(%x) {perm = [1, 0]}
  %c = Transpose(%x) {perm = [0, 1]}
  %d = MatMul(%x, %a)
  %e = MatMul(%x, %b)
  %f = Add(%d, %e)
  %g = MatMul(%f, %c)
  return %g
})")) == "a = Transpose(x)\nc = Transpose(x)\nd = MatMul(x, a)\nf = Add(d, d)\ng = MatMul(f, c)\n");
}

TEST_CASE("share-expressions keeps outputs and what reads other values apart") {
  const PassRun run = run_pass("share-expressions", R"(
graph main(%x: f32[n, 2], %y: f32[n, 2]) {
  %a = Relu(%x)
  %b = Relu(%x)
  %c = Relu(%y)
  %d = Softmax(%x) {axis = 0}
  %e = Softmax(%x) {axis = 1}
  %f = Add(%d, %e)
  return %a, %b, %c, %f
})");
  CHECK(run.report.passes.at(0).changes == 0);
}

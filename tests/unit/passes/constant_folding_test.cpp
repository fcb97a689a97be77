#include "unit/passes/same_results.h"

using namespace thimble::test;

TEST_CASE("fold-constants leaves outputs, symbols and large weights alone") {
  const PassRun run = run_pass("fold-constants", R"(
weight @w: f32[3, 4]
weight @two: f32[] = [2.0]
weight @row: f32[1, 2] = [1.0, 3.0]
weight @column: f32[2, 1] = [10.0, 20.0]
weight @k: f32[1] = [0.25]
graph main(%x: f32[n, 2, 2]) {
  %s = Shape(%x) {start = 1}
  %d = Shape(%x) {end = 1}
  %i = Identity(%x)
  %c = Constant() {value = @k}
  %sum = Add(@row, @column)
  %scaled = Div(%sum, @two)
  %shape = Concat(%d, %s) {axis = 0}
  %t = Transpose(@w) {perm = [1, 0]}
  %a = Mul(%i, %scaled)
  %b = Reshape(%a, %shape)
  %g = Add(%b, %c)
  %o = Identity(%g)
  return %o, %t, %s
})");
  CHECK(run.error.empty());
  CHECK(thimble::ir::print(run.model) == R"(weight @w: f32[3, 4]
weight @two: f32[] = [2.0]
weight @row: f32[1, 2] = [1.0, 3.0]
weight @column: f32[2, 1] = [10.0, 20.0]
weight @k: f32[1] = [0.25]
weight @sum: f32[2, 2] = [11.0, 13.0, 21.0, 23.0]
weight @scaled: f32[2, 2] = [5.5, 6.5, 10.5, 11.5]
graph main(%x: f32[n, 2, 2]) {
  %s: i64[2] = Shape(%x) {start = 1}
  %d: i64[1] = Shape(%x) {end = 1}
  %shape: i64[3] = Concat(%d, %s) {axis = 0}
  %t: f32[4, 3] = Transpose(@w) {perm = [1, 0]}
  %a: f32[n, 2, 2] = Mul(%x, @scaled)
  %b: f32[n, 2, 2] = Reshape(%a, %shape)
  %g: f32[n, 2, 2] = Add(%b, @k)
  %o: f32[n, 2, 2] = Identity(%g)
  return %o, %t, %s
}
)");
  CHECK(run.report.passes.at(0).changes == 4);
}

TEST_CASE("fold-constants turns integers that follow from shapes into constants") {
  const PassRun run = run_pass("fold-constants", R"(
weight @zero: i64[1] = [0]
graph main(%x: f32[n, 6]) {
  %s = Shape(%x) {start = 1}
  %d = Add(%s, %s)
  %shape = Concat(@zero, %s) {axis = 0}
  %y = Reshape(%x, %shape)
  %z = Expand(%y, %s)
  %c = Constant() {value_float = 0.5}
  %r = Mul(%z, %c)
  return %r
})");
  CHECK(run.error.empty());
  CHECK(thimble::ir::print(run.model) == R"(weight @zero: i64[1] = [0]
weight @s: i64[1] = [6]
weight @d: i64[1] = [12]
weight @shape: i64[2] = [0, 6]
weight @c: f32[] = [0.5]
graph main(%x: f32[n, 6]) {
  %y: f32[n, 6] = Reshape(%x, @shape)
  %z: f32[n, 6] = Expand(%y, @s)
  %r: f32[n, 6] = Mul(%z, @c)
  return %r
}
)");
}

TEST_CASE("what the runtime can work out becomes a constant") {
  const auto model = thimble::test::lossless("fold-constants", R"(
weight @a: f32[2, 3] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
weight @i: i64[2] = [2, 0]
graph main(%x: f32[n, 2]) {
  %t = Exp(@a)
  %g = Gather(%t, @i) {axis = 1}
  %s = Softmax(%g) {axis = 0}
  %p = MatMul(%x, %s)
  %y = Relu(%p)
  return %y
})");
  CHECK(thimble::test::nodes_of(model) == "p = MatMul(x, s)\ny = Relu(p)\n");
  CHECK(model.graph.constants().size() == 1);
}

TEST_CASE("a shape that follows from what was worked out is worked out as well") {
  const auto model = thimble::test::lossless("fold-constants", R"(
weight @zero: i64[] = [0]
graph main(%x: f32[1, 3]) {
  %s = Shape(%x)
  %c = CumSum(%s, @zero)
  %t = Tile(%x, %c)
  %s2 = Shape(%t)
  %c2 = CumSum(%s2, @zero)
  %u = Tile(%t, %c2)
  %y = Exp(%u)
  return %y
})");
  CHECK(thimble::test::nodes_of(model) == "t = Tile(x, c)\nu = Tile(t, c2)\ny = Exp(u)\n");
}

TEST_CASE("what would add more than the budget stays, and so do copies of shared weights") {
  const auto text = R"(
weight @one: f32[1] = [1.0]
weight @dims: i64[2] = [64, 64]
weight @w: f32[65, 64]
graph main(%x: f32[64, 64]) {
  %e = Expand(@one, @dims)
  %f = Exp(%e)
  %p = MatMul(%x, %f)
  %h = Transpose(@w) {perm = [1, 0]}
  %q = MatMul(%p, %h)
  %y = MatMul(%q, @w)
  return %y
})";
  using thimble::test::map;
  using thimble::test::number;
  // 64 x 64 floats come, 20 bytes of constants go.
  const PassRun kept = run_pass("fold-constants", text, map({{"growth", number(16363)}}));
  CHECK(kept.error.empty());
  CHECK(kept.report.passes.at(0).changes == 0);
  const PassRun folded = run_pass("fold-constants", text, map({{"growth", number(16364)}}));
  CHECK(folded.report.passes.at(0).changes == 1);
  CHECK(thimble::test::nodes_of(folded.model) ==
        "p = MatMul(x, f)\nh = Transpose(w)\nq = MatMul(p, h)\ny = MatMul(q, w)\n");
}

TEST_CASE("what would make too much work stays, however small it is") {
  const auto folded = [](int side) {
    const std::string text = "weight @one: f32[1] = [1.0]\nweight @dims: i64[2] = [" +
                             std::to_string(side) + ", " + std::to_string(side) + R"(]
graph main(%x: f32[2]) {
  %e = Expand(@one, @dims)
  %s = Einsum(%e, %e) {equation = "ab,cd->"}
  %y = Add(%x, %s)
  return %y
})";
    return thimble::test::nodes_of(run_pass("fold-constants", text).model);
  };
  CHECK(folded(16) == "y = Add(x, s)\n");
  CHECK(folded(512) == "e = Expand(one, dims)\ns = Einsum(e, e)\ny = Add(x, s)\n");
}

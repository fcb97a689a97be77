#include "unit/passes/same_results.h"

using namespace thimble::test;

TEST_CASE("fold-shapes gives Reshape a constant target") {
  const auto model = lossless("fold-shapes", R"(
weight @zero: i64[1] = [0]
weight @one: i64[1] = [1]
weight @heads: i64[2] = [2, 2]
graph main(%x: f32[b, s, 4]) {
  %shape = Shape(%x)
  %b = Gather(%shape, @zero) {axis = 0}
  %s = Gather(%shape, @one) {axis = 0}
  %to = Concat(%b, %s, @heads) {axis = 0}
  %y = Reshape(%x, %to) {allowzero = 1}
  return %y
})");
  const auto& node = model.graph.node(model.graph.value(model.graph.outputs()[0]).producer);
  const auto& target = model.weight(model.graph.value(node.inputs[1]).weight);
  CHECK(*thimble::ir::read_integers(target) == std::vector<std::int64_t>{0, 0, 2, 2});
}

// The mask of an encoder as exporters gather it: element (b, s) of [b, s] by counting indices.
TEST_CASE("a Gather in order is a Reshape, and its widening goes") {
  const std::string text = R"(
weight @zero: i64[] = [0]
weight @one: i64[] = [1]
weight @first: i64[1] = [0]
weight @second: i64[1] = [1]
weight @rows: i64[3] = [1, 2, 3]
weight @columns: i64[3] = [0, 1, 2]
weight @queries: i64[3] = [0, 1, 3]
weight @yes: f32[] = [0.0]
weight @no: f32[] = [-100.0]
graph main(%m: i64[b, s], %x: f32[b, 4, s, s]) {
  %mask = Cast(%m) {to = 9}
  %shape = Shape(%m)
  %b0 = Gather(%shape, @zero) {axis = 0}
  %s0 = Gather(%shape, @one) {axis = 0}
  %ib = Range(@zero, %b0, @one)
  %is = Range(@zero, %s0, @one)
  %ub = Unsqueeze(%ib, @rows)
  %us = Unsqueeze(%is, @columns)
  %uq = Unsqueeze(%is, @queries)
  %wide = Mul(%ub, %s0)
  %index = Add(%wide, %us)
  %flat = Flatten(%mask) {axis = 2}
  %taken = Gather(%flat, %index) {axis = 0}
  %to = Shape(%index)
  %kept = Reshape(%taken, %to)
  %real = GreaterOrEqual(%uq, @zero)
  %seen = And(%real, %kept)
  %bias = Where(%seen, @yes, @no)
  %y = Add(%x, %bias)
  return %y
})";
  const auto model = lossless("simplify", text);
  CHECK(nodes_of(model) ==
        "mask = Cast(m)\nkept = Reshape(mask, kept.shape.1)\nbias = Where(kept, yes, no)\n"
        "y = Add(x, bias)\n");
}

TEST_CASE("a Gather out of order stays") {
  const PassRun run = run_pass("fold-indices", R"(
weight @one: i64[] = [1]
weight @order: i64[4] = [0, 1, 2, 3]
weight @back: i64[4] = [3, 2, 1, 0]
graph main(%x: f32[4], %z: f32[8]) {
  %a = Gather(%x, @back) {axis = 0}
  %b = Gather(%z, @order) {axis = 0}
  return %a, %b
})");
  CHECK(run.report.passes.at(0).changes == 0);
}

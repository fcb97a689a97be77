#include "ir/match.h"

#include "unit/catch.h"
#include "unit/ir/parsed.h"

using namespace thimble::ir;

namespace {

Model model_of(const char* text) {
  Model model = thimble::test::inferred(text);
  REQUIRE(verify(model).has_value());
  return model;
}

constexpr const char* kTied = R"(
weight @model.embed_tokens.weight: bf16[100, 8]
weight @model.layers.3.self_attn.q_proj.weight: bf16[8, 8]
weight @model.layers.3.mlp.up_proj.weight: bf16[16, 8]
weight @onnx_1: f32[16, 8]
weight @bias: f32[8]
weight @lm_head.weight: f32[100, 8]
weight @odd: f32[8, 8]
graph main(%ids: i64[batch, seq]) {
  %h = Gather(@model.embed_tokens.weight, %ids)
  %qt = Transpose(@model.layers.3.self_attn.q_proj.weight) {perm = [1, 0]}
  %q = MatMul(%h, %qt)
  %ut = Transpose(@model.layers.3.mlp.up_proj.weight) {perm = [1, 0]}
  %u = MatMul(%q, %ut)
  %d = MatMul(%u, @onnx_1)  // /model/layers.11/mlp/down
  %r = Add(%d, @bias)
  %o = MatMul(%r, @odd)
  %s = Add(%o, @odd)
  %t = Transpose(@model.embed_tokens.weight) {perm = [1, 0]}
  %y = MatMul(%r, %t)
  %lt = Transpose(@lm_head.weight) {perm = [1, 0]}
  %z = MatMul(%r, %lt)
  return %y, %z
})";

}  // namespace

TEST_CASE("quantizable weights with their roles, layers and uses") {
  // %s broadcasts [batch, seq, 8] with [8, 8]; @odd is read by an Add, so nothing may encode it.
  const Model model = model_of(kTied);
  const std::vector<WeightUse> uses = quantizable_weights(model);
  REQUIRE(uses.size() == 5);
  CHECK(uses[0].role == "embedding");
  CHECK(uses[0].gathered);
  CHECK(uses[0].nodes.size() == 2);
  CHECK(uses[0].operator_name == "Gather");
  CHECK(uses[0].axis == 1);
  CHECK(uses[1].role == "attention");
  CHECK(uses[1].layer == 3);
  CHECK(uses[1].axis == 1);
  CHECK(uses[2].role == "mlp");
  CHECK(uses[3].role == "mlp");  // from the node's name
  CHECK(uses[3].layer == 11);
  CHECK(uses[3].axis == 0);
  CHECK(uses[4].role == "lm_head");
  CHECK(uses[4].layer == -1);
}

TEST_CASE("linear layers in their three spellings") {
  const Model model = model_of(R"(
weight @a: f32[8, 4]
weight @b: f32[8, 4]
weight @c: f32[8, 4]
weight @ints: i64[8, 8]
graph main(%x: f32[n, 8], %z: f32[n, 4]) {
  %p = MatMul(%x, @a)
  %t = Transpose(@b) {perm = [1, 0]}
  %q = MatMul(%z, %t)
  %r = Gemm(%z, @c) {transB = 1}
  %s = Gemm(%z, @c) {alpha = 0.5, transB = 1}
  %w = MatMul(%x, %q)
  return %p, %q, %r, %s, %w
})");
  const std::vector<NodeId> order = model.graph.order();
  const auto direct = match_linear(model, order[0]);
  REQUIRE(direct.has_value());
  CHECK(direct->axis == 0);
  CHECK(direct->rows == 4);
  CHECK(direct->inputs == 8);
  CHECK_FALSE(direct->transpose.valid());
  const auto transposed = match_linear(model, order[2]);
  REQUIRE(transposed.has_value());
  CHECK(transposed->axis == 1);
  CHECK(transposed->rows == 8);
  CHECK(transposed->transpose == order[1]);
  const auto gemm = match_linear(model, order[3]);
  REQUIRE(gemm.has_value());
  CHECK(gemm->axis == 1);
  CHECK(gemm->inputs == 4);
  CHECK_FALSE(match_linear(model, order[1]).has_value());
  CHECK_FALSE(match_linear(model, order[4]).has_value());
  CHECK_FALSE(match_linear(model, order[5]).has_value());
}

#include "ir/model.h"
#include "unit/catch.h"

using namespace thimble::ir;

namespace {

constexpr const char* kModel =
    R"(model {architecture = "LlamaForCausalLM", format = "gguf", max_context = 2048, pooling = "mean", task = "generate"}
state %past <- %present
weight @norm: f32[4] = [1.0, 0.5, -inf, 1e-06]
weight @ids: i64[2] = [-1, 7]
weight @half: bf16[2] = [1.0, -0.5]
weight @flag: bool[] = [1]
weight @up: bf16[576, 4] as int4 group 32 symmetric f16 parameters 2304
weight @"onnx::MatMul_1": f32[4, 4]
body then_branch(%c: f32[n]) {
  %d: f32[n] = Relu(%c)
  return %d
}
graph main(%x: f32[batch, floor((seq + 1) / 2), max(4, a)] as int8, %past: f32[*]) {
  %alias = @norm
  %t: f32[4, 576] = Transpose(@up) {perm = [1, 0]}
  %y: f32[batch, 576] as int16 = MatMul(%x, %t)  // model.layers.0.mlp.up_proj
  %z: f32[*] as int8-token = Relu(%y)
  %present: f32[*], _ = thimble::Thing(%y, _, %alias, @"onnx::MatMul_1") {a = 1, b = 1.0, c = "q\x22\x0a", d = floats[], e = [0.5, 2.0], f = ["x"], g = @ids, h = #0}
  return %y, %present
}
)";

}  // namespace

TEST_CASE("a model prints as it parses") {
  const auto model = parse(kModel);
  REQUIRE(model.has_value());
  CHECK(print(*model) == kModel);
  CHECK(model->max_context == 2048);
  CHECK(model->task == Task::kGenerate);
  CHECK(model->states.size() == 1);
  CHECK(model->weights.size() == 6);
  CHECK(model->weight(WeightId{4}).source_parameters == 2304);
  CHECK(*read_floats(model->weight(WeightId{2})) == std::vector<float>{1, -0.5f});
  CHECK(*read_integers(model->weight(WeightId{1})) == std::vector<std::int64_t>{-1, 7});
  const NodeId matmul = model->graph.order()[1];
  CHECK(model->graph.node(matmul).name == "model.layers.0.mlp.up_proj");
  CHECK(model->graph.value(model->graph.inputs()[0]).activation == ActivationScheme::kInt8);
}

TEST_CASE("static scales and flat encodings print as they parse") {
  const std::string text = R"(weight @w: f32[16, 4, 3, 3] as int8 per-channel symmetric f16 flat
graph main(%x: f32[1, 4, 8, 8] as int8(0.05, -3)) {
  %y: f32[1, 4, 8, 8] as int8(1e-06, 127) = Relu(%x)
  return %y
}
)";
  const auto model = parse(text);
  REQUIRE(model.has_value());
  CHECK(print(*model).ends_with(text));
  CHECK(model->weight(WeightId{0}).rows() == 16);
  CHECK(model->weight(WeightId{0}).inputs() == 36);
  const Value& x = model->graph.value(model->graph.inputs()[0]);
  CHECK(x.activation == ActivationScheme::kStatic);
  CHECK(x.static_scale == StaticScale{0.05f, -3});
  for (const char* bad : {"(0.0, 1)", "(-1.0, 1)", "(1, 1)", "(0.5, 128)", "(inf, 0)", "(0.5)"})
    CHECK_FALSE(
        parse("graph main(%x: f32[1] as int8" + std::string(bad) + ") {\n  return %x\n}\n"));
}

TEST_CASE("types, names and comments may be left out") {
  const auto model = parse(R"(
// a comment
graph main(%x: f32[n]) {
  // another
  %y = Relu(%x)

  return %y
})");
  REQUIRE(model.has_value());
  CHECK_FALSE(model->graph.value(model->graph.outputs()[0]).shape.has_value());
}

TEST_CASE("two weights of one name stay two") {
  Model model;
  const std::vector<float> one = {1}, two = {2};
  const ValueId a = model.constant(model.add_weight(make_dense("c", {1}, one)));
  const ValueId b = model.constant(model.add_weight(make_dense("c", {1}, two)));
  Node node;
  node.op = "Add";
  node.inputs = {a, b};
  const NodeId id = model.graph.add_node(node, {"y"});
  model.graph.set_outputs({model.graph.node(id).outputs[0]});
  const std::string text = print(model);
  const auto again = parse(text);
  REQUIRE(again.has_value());
  CHECK(print(*again) == text);
  CHECK(text.find("Add(@c, @c.1)") != std::string::npos);
}

TEST_CASE("what does not parse says where") {
  const auto error_of = [](const char* text) {
    const auto model = parse(text, "m.ir");
    REQUIRE_FALSE(model.has_value());
    return model.error().to_string();
  };
  CHECK(error_of("graph main() {\n  %y = Relu(%x)\n  return %y\n}").find("m.ir:2:13") == 0);
  CHECK(error_of("weight @w: f31[2]").find("m.ir:1:12") == 0);
  for (const char* bad : {
           "",
           "graph",
           "graph main(",
           "graph main() {",
           "graph main(%x: f32[n) { return }",
           "graph main(%x, %x) { return }",
           "weight @w: f32[2] = [1.0]",
           "weight @w: i64[1] = [1.0]",
           "weight @w: f32[-1]",
           "weight @w: f32[9223372036854775807, 3]",
           "weight @w: f32[1]\nweight @w: f32[1]",
           "weight @w: f32[2, 2] as int9",
           "graph main(%x) {\n  %y = Relu(%x) {a = }\n  return %y\n}",
           "graph main(%x) {\n  %y = Relu(%x) {a = #3}\n  return %y\n}",
           "graph main(%x) {\n  %x = Relu(%x)\n  return %x\n}",
           "graph main(%x) {\n  %y = Relu(@w)\n  return %y\n}",
           "model {task = \"dance\"}\ngraph main() {\nreturn\n}",
           "weight @\"w",
       }) {
    INFO(bad);
    CHECK_FALSE(parse(bad).has_value());
  }
}

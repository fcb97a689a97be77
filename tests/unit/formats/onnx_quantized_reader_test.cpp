// Quantized models as other tools write them.

#include <vector>

#include "formats/onnx/quantized.h"
#include "unit/catch.h"
#include "unit/ir/parsed.h"

namespace thimble::formats::onnx {
namespace {

std::string tensor(const std::string& name, const std::string& type, const std::string& values) {
  return "weight @" + name + ": " + type + " = [" + values + "]\n";
}

ir::Model recognized(const std::string& text) {
  ir::Model model = test::inferred(text);
  const Status status = recognize_quantized(model);
  if (!status) FAIL(status.error().to_string());
  const Status verified = ir::verify(model);
  if (!verified) FAIL(verified.error().to_string());
  return model;
}

std::vector<std::string> ops_of(const ir::Model& model) {
  std::vector<std::string> ops;
  for (const ir::NodeId id : model.graph.order()) ops.push_back(model.graph.node(id).op);
  return ops;
}

const ir::Value& value_named(const ir::Model& model, const std::string& name) {
  const auto id = model.graph.find_value(name);
  REQUIRE(id.has_value());
  return model.graph.value(*id);
}

const ir::Weight& read_as_weight(const ir::Model& model, const std::string& op) {
  for (const ir::NodeId id : model.graph.order()) {
    const ir::Node& node = model.graph.node(id);
    if (node.is(op)) return model.weight(model.graph.value(node.inputs[1]).weight);
  }
  FAIL("no " + op);
  return model.weights.front();
}

const std::string kScales = tensor("s", "f32[]", "0.5") + tensor("z", "u8[]", "127") +
                            tensor("u", "f32[2]", "0.25, 0.5") + tensor("n", "i8[2]", "0, 0");
const std::string kKernel = tensor("w", "i8[2, 1, 1, 1]", "-3, 5");

using Ops = std::vector<std::string>;

}  // namespace

TEST_CASE("QDQ around a convolution becomes scales of values and a weight of codes", "[onnx]") {
  const ir::Model model = recognized(kScales + kKernel + tensor("b", "i32[2]", "8, -4") +
                                     tensor("v", "f32[2]", "0.125, 0.25") +
                                     R"(graph main(%x: f32[1, 1, 2, 2]) {
  %q = QuantizeLinear(%x, @s, @z)
  %d = DequantizeLinear(%q, @s, @z)
  %k = DequantizeLinear(@w, @u, @n) {axis = 0}
  %c = DequantizeLinear(@b, @v) {axis = 0}
  %y = Conv(%d, %k, %c)
  %p = QuantizeLinear(%y, @s, @z)
  %r = DequantizeLinear(%p, @s, @z)
  %t = Tanh(%r)
  return %t
}
)");
  CHECK(ops_of(model) == Ops{"Conv", "Tanh"});
  CHECK(value_named(model, "x").static_scale == ir::StaticScale{0.5f, 0});
  CHECK(value_named(model, "y").activation == ir::ActivationScheme::kStatic);
  const ir::Weight& weight = read_as_weight(model, "Conv");
  CHECK(weight.encoding.to_string() == "int8 per-channel symmetric f32 flat");
  CHECK(*ir::read_floats(weight) == std::vector<float>{-0.75f, 2.5f});
  const ir::Node& conv = model.graph.node(model.graph.order()[0]);
  CHECK(*ir::read_floats(model.weight(model.graph.value(conv.inputs[2]).weight)) ==
        std::vector<float>{1, -1});
}

TEST_CASE("QLinearConv is the same, spelled otherwise", "[onnx]") {
  const ir::Model model = recognized(kScales + kKernel + tensor("b", "i32[2]", "8, -4") +
                                     R"(graph main(%x: f32[1, 1, 2, 2]) {
  %q = QuantizeLinear(%x, @s, @z)
  %p = QLinearConv(%q, @s, @z, @w, @u, @n, @s, @z, @b)
  %m = MaxPool(%p) {kernel_shape = [2, 2]}
  %r = DequantizeLinear(%m, @s, @z)
  return %r
}
)");
  CHECK(ops_of(model) == Ops{"Conv", "MaxPool", "QuantizeLinear", "DequantizeLinear"});
  CHECK(value_named(model, "x").static_scale == ir::StaticScale{0.5f, 0});
  const ir::Node& conv = model.graph.node(model.graph.order()[0]);
  CHECK(*ir::read_floats(model.weight(model.graph.value(conv.inputs[2]).weight)) ==
        std::vector<float>{1, -1});
}

TEST_CASE("a pair stays where what reads it does not work on codes after all", "[onnx]") {
  // The sum's other value has no scale. What comes from a node on codes is rounded all the same.
  CHECK(ops_of(recognized(kScales + tensor("k", "f32[2]", "1.5, 2.5") +
                          R"(graph main(%x: f32[2, 2]) {
  %q = QuantizeLinear(%x, @s, @z)
  %d = DequantizeLinear(%q, @s, @z)
  %m = Mul(%d, %d)
  %p = QuantizeLinear(%m, @s, @z)
  %r = DequantizeLinear(%p, @s, @z)
  %a = Add(%r, @k)
  %t = Tanh(%a)
  return %t
}
)")) == Ops{"Mul", "Add", "Tanh"});
  CHECK(ops_of(recognized(kScales + tensor("k", "f32[2]", "1.5, 2.5") +
                          R"(graph main(%x: f32[2, 2]) {
  %q = QuantizeLinear(%x, @s, @z)
  %d = DequantizeLinear(%q, @s, @z)
  %a = Add(%d, @k)
  return %a
}
)")) == Ops{"QuantizeLinear", "DequantizeLinear", "Add"});
}

TEST_CASE("what has no form for codes stays as it is", "[onnx]") {
  // Other scales on the way back, zeros that differ, a scale that is computed, codes for floats.
  CHECK(ops_of(recognized(kScales + tensor("o", "f32[]", "0.75") + R"(graph main(%x: f32[2, 2]) {
  %q = QuantizeLinear(%x, @s, @z)
  %d = DequantizeLinear(%q, @o, @z)
  %y = Relu(%d)
  return %y
}
)")) == Ops{"QuantizeLinear", "DequantizeLinear", "Relu"});
  CHECK(ops_of(recognized(kScales + kKernel + tensor("m", "i8[2]", "0, 1") +
                          R"(graph main(%x: f32[1, 1, 2, 2]) {
  %k = DequantizeLinear(@w, @u, @m) {axis = 0}
  %y = Conv(%x, %k)
  return %y
}
)")) == Ops{"DequantizeLinear", "Conv"});
  CHECK(ops_of(recognized(kScales + R"(graph main(%x: f32[2, 2], %s: f32[]) {
  %q = QuantizeLinear(%x, %s, @z)
  %d = DequantizeLinear(%q, %s, @z)
  %y = Relu(%d)
  return %y
}
)")) == Ops{"QuantizeLinear", "DequantizeLinear", "Relu"});
  CHECK(ops_of(recognized(kScales + R"(graph main(%x: f32[2, 2]) {
  %q = QuantizeLinear(%x, @s, @z)
  %d = DequantizeLinear(%q, @s, @z)
  %y = Softmax(%d)
  return %y
}
)")) == Ops{"QuantizeLinear", "DequantizeLinear", "Softmax"});
}

}  // namespace thimble::formats::onnx

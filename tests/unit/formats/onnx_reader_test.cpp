// What hand-made ONNX models become.

#include "formats/onnx/reader.h"
#include "formats/onnx/tensors.h"
#include "onnx_bytes.h"
#include "unit/catch.h"

namespace thimble::formats::onnx {
namespace {

ir::Model read_bytes(const std::string& bytes) {
  const ScratchFolder scratch;
  auto model = read_as_written(scratch.write("m.onnx", bytes));
  if (!model) FAIL(model.error().to_string());
  return *std::move(model);
}

std::string graph_text(const ir::Model& model) {
  const std::string text = ir::print(model);
  return text.substr(text.find('\n') + 1);
}

ir::Weight read_tensor_bytes(const std::string& bytes) {
  const ScratchFolder scratch;
  auto weight = read_tensor(scratch.write("t.pb", bytes));
  if (!weight) FAIL(weight.error().to_string());
  return *std::move(weight);
}

const std::string kX = input("x", 1, {"n", "2"}), kY = output("y", 1, {"n", "2"});

TEST_CASE("a graph with an initializer") {
  const ir::Model model = read_bytes(model_bytes(n(node("Add", {"x", "w"}, {"t"}, "", "ai.onnx")) +
                                                 n(node("Relu", {"t"}, {"y"})) +
                                                 text(5, floats("w", {2}, {1, -2})) + kX + kY));
  CHECK(graph_text(model) ==
        R"(weight @w: f32[2] parameters 2 = [1.0, -2.0]
graph main(%x: f32[n, 2]) {
  %t: undefined[*] = Add(%x, @w)
  %y: f32[n, 2] = Relu(%t)
  return %y
}
)");
  CHECK(model.source_format == "onnx");
  CHECK(model.task == ir::Task::kTensors);
  CHECK(model.metadata.at("onnx.opset") == "17");
  CHECK(model.metadata.at("onnx.producer") == "test");
  CHECK(model.source_files.size() == 1);
  CHECK_FALSE(model.weight(ir::WeightId{0}).source->in_place().empty());
}

TEST_CASE("nodes may stand before what they read") {
  const std::string then = text(6, n(node("Neg", {"late"}, {"inner"})) + output("inner", 1, {}));
  const std::string otherwise = text(6, n(node("Abs", {"x"}, {"own"})) + output("own", 1, {}));
  const std::string branches =
      attribute("then_branch", 5, then) + attribute("else_branch", 5, otherwise);
  const ir::Model model = read_bytes(
      model_bytes(n(node("If", {"flag"}, {"y"}, branches)) + n(node("Exp", {"soon"}, {"late"})) +
                  n(node("Relu", {"x"}, {"soon"})) + kX + input("flag", 9, {}) + kY));
  std::string ops;
  for (const ir::NodeId id : model.graph.order()) ops += model.graph.node(id).op + " ";
  CHECK(ops == "Relu Exp If ");
}

TEST_CASE("metadata and opsets of other domains are kept") {
  const ir::Model model = read_bytes(model_bytes(n(node("Relu", {"x"}, {"y"})) + kX + kY, 17, 8,
                                                 text(8, text(1, "com.microsoft") + number(2, 1)) +
                                                     text(14, text(1, "key") + text(2, "value"))));
  CHECK(model.metadata.at("onnx.metadata.key") == "value");
  CHECK(model.metadata.at("onnx.opset.com.microsoft") == "1");
}

TEST_CASE("attributes of every kind, and one without a type") {
  const std::string attributes =
      attribute("f", 1, real(2, 0.5f)) + attribute("i", 2, number(3, -3)) +
      attribute("s", 3, text(4, "abc")) + attribute("fs", 6, real(7, 1) + real(7, 2)) +
      attribute("is", 7, text(8, varint(4) + varint(5)) + number(8, -1)) +
      attribute("ss", 8, text(9, "a") + text(9, "b")) +
      attribute("t", 4, text(5, floats("", {1}, {7}))) + attribute("is0", 7, "") +
      text(5, text(1, "old") + number(3, 9));
  const ir::Model model = read_bytes(
      model_bytes(n(node("Thing", {"x", "", "x", ""}, {"", "y"}, attributes)) + kX + kY));
  CHECK(graph_text(model) ==
        R"(weight @y.t: f32[1] = [7.0]
graph main(%x: f32[n, 2]) {
  _, %y: f32[n, 2] = Thing(%x, _, %x) {f = 0.5, fs = [1.0, 2.0], i = -3, is = [4, 5, -1], is0 = ints[], old = 9, s = "abc", ss = ["a", "b"], t = @y.t}
  return %y
}
)");
}

TEST_CASE("before IR 4 initializers are inputs, before IR 3 there is no opset") {
  const std::string graph = n(node("Add", {"x", "w"}, {"y"})) + text(5, floats("w", {2}, {1, 2})) +
                            kX + input("w", 1, {"2"}) + kY;
  const ir::Model model = read_bytes(number(1, 1) + text(7, graph));
  CHECK(model.graph.inputs().size() == 1);
  CHECK(model.metadata.at("onnx.opset") == "1");
}

TEST_CASE("dimensions: parameters are kept distinct, unknown ones get a symbol") {
  const ir::Model model = read_bytes(model_bytes(
      n(node("Relu", {"a/x"}, {"y"})) +
      input("a/x", 1, {"seq-1", "seq+1", "max", "", "0", "dim_a_x_3"}) +
      text(11, text(1, "z") + text(2, text(1, number(1, 1)))) + output("y", 1, {"seq-1", ""})));
  const ir::Graph& graph = model.graph;
  CHECK(ir::to_string(*graph.value(graph.inputs()[0]).shape) ==
        "[seq_1, seq_1_2, max_, dim_a_x_3_2, 0, dim_a_x_3]");
  CHECK_FALSE(graph.value(graph.inputs()[1]).shape.has_value());
  CHECK_FALSE(graph.value(graph.outputs()[0]).shape.has_value());
}

TEST_CASE("Constant nodes become weights that are used once or not at all") {
  const ir::Model model = read_bytes(model_bytes(
      n(node("Constant", {}, {"c"}, attribute("value_ints", 7, number(8, 3) + number(8, 4)))) +
      n(node("Constant", {}, {"s"}, attribute("value_string", 3, text(4, "unused")))) +
      n(node("Constant", {}, {"d"}, attribute("value", 4, text(5, floats("", {}, {2}))))) +
      n(node("Expand", {"x", "c"}, {"t"})) + n(node("Mul", {"t", "d"}, {"y"})) + kX + kY));
  CHECK(graph_text(model) == R"(weight @c: i64[2] = [3, 4]
weight @d: f32[] parameters 1 = [2.0]
graph main(%x: f32[n, 2]) {
  %t: undefined[*] = Expand(%x, @c)
  %y: f32[n, 2] = Mul(%t, @d)
  return %y
}
)");
}

TEST_CASE("bodies capture values at every level, and share weights") {
  const std::string inner = n(node("Add", {"a", "w"}, {"r"})) + output("r", 1, {});
  const std::string middle =
      n(node("If", {"c"}, {"q"}, attribute("then_branch", 5, text(6, inner)))) + output("q", 1, {});
  // The other branch has a value of its own by the name of what it captures later.
  const std::string other =
      n(node("Relu", {"a"}, {"b"})) + n(node("Add", {"b", "w"}, {"a2"})) + output("a2", 1, {});
  const ir::Model model =
      read_bytes(model_bytes(n(node("Relu", {"x"}, {"a"})) +
                             n(node("If", {"c"}, {"y"},
                                    attribute("then_branch", 5, text(6, middle)) +
                                        attribute("else_branch", 5, text(6, other)))) +
                             text(5, floats("w", {2}, {1, 2})) + input("c", 9, {}) + kX + kY));
  CHECK(graph_text(model) == R"(weight @w: f32[2] parameters 2 = [1.0, 2.0]
body main() captures (%a: undefined[*]) {
  %r: undefined[*] = Add(%a, @w)
  return %r
}
body main() captures (%c: bool[], %a: undefined[*]) {
  %q: undefined[*] = If(%c) {then_branch = #0}
  return %q
}
body main() captures (%a: undefined[*]) {
  %b: undefined[*] = Relu(%a)
  %a2: undefined[*] = Add(%b, @w)
  return %a2
}
graph main(%c: bool[], %x: f32[n, 2]) {
  %a: undefined[*] = Relu(%x)
  %y: f32[n, 2] = If(%c) {else_branch = #2, then_branch = #1}
  return %y
}
)");
}

TEST_CASE("floats of 16 bits are lifted") {
  const std::string half_w = tensor("w", 10, {1}) + number(5, 0x3c00);
  const ir::Model model = read_bytes(model_bytes(
      n(node("Add", {"x", "w"}, {"t"})) +
      n(node("Cast", {"t"}, {"u"}, attribute("to", 2, number(3, 16)))) +
      n(node("CastLike", {"u", "x"}, {"v"})) + n(node("Identity", {"v"}, {"y"})) + text(5, half_w) +
      input("x", 10, {"2"}) + output("y", 10, {"2"}) + output("x", 10, {"2"})));
  CHECK(graph_text(model) == R"(weight @w: f16[1] parameters 1 = [1.0]
graph main(%x: f16[2]) {
  %x_f32: undefined[*] = Cast(%x) {to = 1}  // x
  %t: undefined[*] = Add(%x_f32, @w)
  %u_bf16: undefined[*] = Cast(%t) {to = 16}
  %u: undefined[*] = Cast(%u_bf16) {to = 1}
  %v_f16: undefined[*] = Cast(%u) {to = 10}
  %v: undefined[*] = Cast(%v_f16) {to = 1}
  %y_f32: undefined[*] = Identity(%v)
  %y: f16[2] = Cast(%y_f32) {to = 10}  // y
  return %y, %x
}
)");
}

TEST_CASE("double precision stays") {
  const ir::Model model = read_bytes(
      model_bytes(n(node("Add", {"x", "w"}, {"y"})) +
                  text(5, tensor("w", 11, {1}) + text(10, std::string(7, '\0') + "\x40")) +
                  input("x", 11, {"2"}) + output("y", 11, {"2"})));
  CHECK(model.graph.value(model.graph.constants()[0]).dtype == ir::DType::kF64);
  CHECK(ir::read_floats(model.weight(ir::WeightId{0}))->at(0) == 2.0f);
}

std::string function(const std::string& name, const std::vector<std::string>& inputs,
                     const std::vector<std::string>& outputs, const std::string& rest) {
  std::string out = text(1, name) + text(10, "local");
  for (const std::string& in : inputs) out += text(4, in);
  for (const std::string& result : outputs) out += text(5, result);
  return text(25, out + rest);
}

TEST_CASE("functions are inlined, with attributes, defaults and functions inside") {
  const std::string reference = text(5, text(1, "alpha") + text(21, "slope") + number(20, 1));
  const std::string beta = text(5, text(1, "beta") + text(21, "other") + number(20, 1));
  const std::string gone = text(5, text(1, "gone") + text(21, "absent") + number(20, 1));
  const std::string inner =
      function("Inner", {"a"}, {"b"},
               text(7, node("LeakyRelu", {"a"}, {"t"}, reference + beta + gone)) +
                   text(7, node("Relu", {"t"}, {"b"})) + text(6, "slope") +
                   text(11, text(1, "other") + real(2, 0.25f) + number(20, 1)));
  const std::string outer =
      function("Outer", {"p", "unused"}, {"q", "p"},
               text(7, node("Inner", {"p"}, {"q"},
                            text(5, text(1, "slope") + text(21, "s") + number(20, 1)), "local")));
  const ir::Model model = read_bytes(
      model_bytes(n(node("Outer", {"x"}, {"y", "z"}, attribute("s", 1, real(2, 0.5f)), "local")) +
                      n(node("Inner", {"y"}, {"w"}, "", "local")) + kX + kY + output("z", 1, {}) +
                      output("w", 1, {}),
                  17, 8, inner + outer));
  CHECK(graph_text(model) == R"(graph main(%x: f32[n, 2]) {
  %Inner_2/t: undefined[*] = LeakyRelu(%x) {alpha = 0.5, beta = 0.25}  // Inner_2/
  %y: f32[n, 2] = Relu(%Inner_2/t)  // Inner_2/
  %Inner_3/t: undefined[*] = LeakyRelu(%y) {beta = 0.25}  // Inner_3/
  %w: f32[] = Relu(%Inner_3/t)  // Inner_3/
  %z: f32[] = Identity(%x)  // z
  return %y, %z, %w
}
)");
}

TEST_CASE("tensors: raw, typed and packed data") {
  CHECK(*ir::read_floats(read_tensor_bytes(floats("t", {2, 1}, {1, 2}))) ==
        std::vector<float>{1, 2});
  CHECK(*ir::read_floats(read_tensor_bytes(tensor("t", 1, {2}) + real(4, 1) + real(4, 2))) ==
        std::vector<float>{1, 2});
  CHECK(*ir::read_integers(read_tensor_bytes(tensor("t", 7, {3}) +
                                             text(7, varint(300) + varint(1)) + number(7, -5))) ==
        std::vector<std::int64_t>{300, 1, -5});
  CHECK(*ir::read_integers(read_tensor_bytes(tensor("t", 3, {2}) + number(5, -7) + number(5, 7))) ==
        std::vector<std::int64_t>{-7, 7});
  CHECK(*ir::read_floats(read_tensor_bytes(tensor("t", 16, {1}) + number(5, 0x3f80))) ==
        std::vector<float>{1});
  const ir::Weight nibbles =
      read_tensor_bytes(tensor("t", 22, {3}) + number(5, 0x21) + number(5, 3));
  CHECK(nibbles.dtype == ir::DType::kI4);
  CHECK(nibbles.source->in_place().size() == 2);
  CHECK(nibbles.source->in_place()[0] == std::byte{0x21});
  // Rows that begin inside a byte.
  CHECK(*ir::read_floats(read_tensor_bytes(tensor("t", 22, {2, 3}) + text(9, "\x21\x43\xf5"))) ==
        std::vector<float>{1, 2, 3, 4, 5, -1});
  CHECK(read_tensor_bytes(tensor("t", 1, {0, 3})).element_count() == 0);
  CHECK(read_tensor_bytes(tensor("t", 1, {0, 3}) + text(9, "")).element_count() == 0);
}

TEST_CASE("a file is taken for ONNX by its first bytes") {
  const ScratchFolder scratch;
  CHECK(is_onnx(scratch.write("a", model_bytes(kX + kY))));
  CHECK_FALSE(is_onnx(scratch.write("b", "GGUF....")));
  CHECK_FALSE(is_onnx(scratch.write("c", "")));
  CHECK_FALSE(is_onnx(scratch.path("nothing")));
}

}  // namespace
}  // namespace thimble::formats::onnx

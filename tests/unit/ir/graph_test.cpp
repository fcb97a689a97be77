#include "ir/graph.h"

#include "ir/model.h"
#include "unit/catch.h"

using namespace thimble::ir;

namespace {

Node call(std::string op, std::vector<ValueId> inputs) {
  Node node;
  node.op = std::move(op);
  node.inputs = std::move(inputs);
  return node;
}

}  // namespace

TEST_CASE("nodes keep their order and ids through edits") {
  Graph g;
  const ValueId x = g.add_input("x", DType::kF32, Shape{Dim::symbol("n")});
  const NodeId a = g.add_node(call("Relu", {x}), {"a"});
  const ValueId va = g.node(a).outputs[0];
  const NodeId b = g.add_node(call("Tanh", {va}), {"b"});
  const NodeId c = g.insert_before(b, call("Exp", {va}), {"a"});
  const ValueId vc = g.node(c).outputs[0];
  CHECK(g.value(vc).name == "a.1");
  CHECK(g.value(vc).producer == c);
  g.set_input(b, 0, vc);
  g.set_outputs({g.node(b).outputs[0]});
  CHECK(g.order() == std::vector<NodeId>{a, c, b});
  CHECK(g.users(va) == std::vector<NodeId>{c});
  CHECK(g.is_output(g.node(b).outputs[0]));

  g.replace_uses(vc, va);
  g.erase(c);
  CHECK_FALSE(g.alive(c));
  CHECK_FALSE(g.alive(vc));
  CHECK_FALSE(g.find_value("a.1").has_value());
  CHECK(g.order() == std::vector<NodeId>{a, b});
  CHECK(g.node(b).inputs[0] == va);
}

TEST_CASE("a value's readers are known in their order, each once") {
  Graph g;
  const ValueId x = g.add_input("x", DType::kF32, Shape{});
  const ValueId y = g.add_input("y", DType::kF32, Shape{});
  const NodeId last = g.add_node(call("Add", {x, x}), {"last"});
  std::vector<NodeId> readers;
  for (int i = 0; i < 100; ++i)
    readers.push_back(g.insert_before(last, call("Relu", {x}), {"relu"}));
  for (int i = 0; i < 100; ++i)
    readers.insert(readers.begin(), g.insert_before(readers[0], call("Tanh", {x}), {"tanh"}));
  readers.push_back(last);
  CHECK(g.order() == readers);
  CHECK(g.users(x) == readers);

  g.set_input(last, 1, y);
  CHECK(g.users(x) == readers);
  CHECK(g.users(y) == std::vector<NodeId>{last});
  g.replace_inputs(last, x, y);
  readers.pop_back();
  CHECK(g.users(x) == readers);
  CHECK(g.users(y) == std::vector<NodeId>{last});
  g.erase(readers.back());
  readers.pop_back();
  CHECK(g.users(x) == readers);
  g.replace_uses(x, y);
  CHECK(g.users(x).empty());
  readers.push_back(last);
  CHECK(g.users(y) == readers);
  g.edit(last, [](Node& node) { node.inputs.clear(); });
  readers.pop_back();
  CHECK(g.users(y) == readers);
}

TEST_CASE("absent results, renamed and erased values") {
  Graph g;
  const ValueId x = g.add_input("x", DType::kF32, Shape{});
  const ValueId unused = g.add_input("unused", DType::kF32, Shape{});
  const NodeId split = g.add_node(call("Split", {x}), {"", "second"});
  CHECK_FALSE(g.node(split).outputs[0].valid());
  const ValueId second = g.node(split).outputs[1];
  g.rename(second, "x");
  CHECK(g.value(second).name == "x.1");
  CHECK(g.find_value("x.1") == second);
  g.erase_input(unused);
  CHECK(g.inputs() == std::vector<ValueId>{x});
}

TEST_CASE("attributes are sorted and read by type") {
  Graph g;
  Node node = call("Gemm", {});
  node.attributes = {
      {"transB", std::int64_t{1}}, {"alpha", 0.5f}, {"perm", std::vector<std::int64_t>{1, 0}}};
  const NodeId id = g.add_node(node, {"y"});
  CHECK(g.node(id).attributes[0].name == "alpha");
  CHECK(g.node(id).real("alpha", 1) == 0.5f);
  CHECK(g.node(id).integer("transB", 0) == 1);
  CHECK(g.node(id).integer("alpha", 7) == 7);
  CHECK(g.node(id).integers("perm") == std::vector<std::int64_t>{1, 0});
  CHECK(g.node(id).text("approximate", "none") == "none");
}

TEST_CASE("constants are shared, and go when nothing uses them") {
  Model model;
  const std::vector<float> values = {1, 2};
  const WeightId w = model.add_weight(make_dense("w", {2}, values));
  const ValueId first = model.constant(w);
  CHECK(model.constant(w) == first);
  CHECK(model.graph.constants().size() == 1);
  model.graph.erase_unused_constants();
  CHECK(model.graph.constants().empty());
  CHECK(model.weight_bytes() == 8);
}

TEST_CASE("how a float weight is stored does not show in the graph") {
  Model model;
  Weight w;
  w.name = "w";
  w.dtype = DType::kBF16;
  w.dims = {2, 2};
  CHECK(constant_type(model, w) == DType::kF32);
  CHECK(model.graph.value(model.constant(model.add_weight(w))).dtype == DType::kF32);
  w.dtype = DType::kI64;
  CHECK(constant_type(model, w) == DType::kI64);
  w.dtype = DType::kF64;
  CHECK(constant_type(model, w) == DType::kF32);
  model.source_format = "onnx";
  CHECK(constant_type(model, w) == DType::kF64);
  w.dtype = DType::kF8E4M3FN;
  CHECK(constant_type(model, w) == DType::kF8E4M3FN);
  w.dtype = DType::kF16;
  CHECK(constant_type(model, w) == DType::kF32);
}

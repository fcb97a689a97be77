#include "ir/extract.h"

#include "unit/catch.h"
#include "unit/ir/parsed.h"

using namespace thimble;
using namespace thimble::ir;

namespace {

ValueId id_of(const Model& model, std::string_view name) {
  const auto found = model.graph.find_value(name);
  REQUIRE(found.has_value());
  return *found;
}

// x -> Relu a -> MatMul W b -> Add(b, a) c -> Tanh d, with a tied weight used again after it.
Model chain() {
  Model m;
  const Shape shape = {Dim::symbol("n"), 2};
  const ValueId x = m.graph.add_input("x", DType::kF32, shape);
  const ValueId unused = m.graph.add_input("unused", DType::kF32, shape);
  (void)unused;
  const WeightId w = m.add_weight(make_dense("w", {2, 2}, std::vector<float>{1, 2, 3, 4}));
  const WeightId other = m.add_weight(make_dense("other", {2, 2}, std::vector<float>{5, 6, 7, 8}));
  auto node = [&](std::string op, std::vector<ValueId> inputs, const std::string& name) {
    Node n;
    n.op = std::move(op);
    n.name = name;
    n.inputs = std::move(inputs);
    return m.graph.node(m.graph.add_node(std::move(n), {name})).outputs[0];
  };
  const ValueId a = node("Relu", {x}, "a");
  const ValueId b = node("MatMul", {a, m.constant(w)}, "b");
  const ValueId c = node("Add", {b, a}, "c");
  const ValueId d = node("MatMul", {c, m.constant(other)}, "d");
  m.graph.set_outputs({d});
  REQUIRE(infer_shapes(m).has_value());
  return m;
}

}  // namespace

TEST_CASE("a part holds the nodes between its cuts and shares the sources of its weights") {
  const Model whole = chain();
  const Model part = extract(whole, std::vector{id_of(whole, "a")}, std::vector{id_of(whole, "c")});
  REQUIRE(verify(part).has_value());
  CHECK(part.graph.order().size() == 2);
  REQUIRE(part.graph.inputs().size() == 1);
  CHECK(part.graph.value(part.graph.inputs()[0]).name == "a");
  REQUIRE(part.graph.outputs().size() == 1);
  CHECK(part.graph.value(part.graph.outputs()[0]).name == "c");
  REQUIRE(part.weights.size() == 1);
  CHECK(part.weights[0].name == "w");
  CHECK(part.weights[0].source == whole.weights[0].source);
}

TEST_CASE("graph inputs that a part needs come along, others do not") {
  const Model whole = chain();
  const Model part = extract(whole, {}, std::vector{id_of(whole, "b"), id_of(whole, "a")});
  REQUIRE(verify(part).has_value());
  REQUIRE(part.graph.inputs().size() == 1);
  CHECK(part.graph.value(part.graph.inputs()[0]).name == "x");
  CHECK(part.graph.outputs().size() == 2);
}

TEST_CASE("an input given that is also an output passes through") {
  const Model whole = chain();
  const std::vector cut{id_of(whole, "a")};
  const Model part = extract(whole, cut, cut);
  CHECK(part.graph.order().empty());
  CHECK(part.graph.inputs() == part.graph.outputs());
}

TEST_CASE("sizes that a part's inputs don't tell are left open") {
  const Model whole = test::inferred(R"(weight @flat: i64[2] = [-1, 4]
graph main(%z: f32[b, s, 4]) {
  %f = Reshape(%z, @flat)
  %g = Relu(%f)
  return %g
}
)");
  const auto shape = [](const Model& part, std::string_view name) {
    return part.graph.value(id_of(part, name)).shape;
  };
  const std::vector wanted{id_of(whole, "g")};
  CHECK(shape(extract(whole, {}, wanted), "g").has_value());
  const Model part = extract(whole, std::vector{id_of(whole, "f")}, wanted);
  REQUIRE(verify(part).has_value());
  CHECK_FALSE(shape(part, "f").has_value());
  CHECK_FALSE(shape(part, "g").has_value());
}

TEST_CASE("what bodies capture comes along with the nodes that have them") {
  const Model whole = test::parsed(R"(weight @k: f32[2] = [3.0, 4.0]
body inner() captures (%a: f32[2], %z: f32[2], %k: f32[2]) {
  %s: f32[2] = Add(%a, %z)
  %t: f32[2] = Mul(%s, %k)
  return %t
}
graph main(%x: f32[2], %z: f32[2], %c: bool[]) {
  %a: f32[2] = Relu(%x)
  %k = @k
  %y: f32[2] = If(%c) {else_branch = #0, then_branch = #0}
  return %y
}
)");
  const Model part = extract(whole, {}, std::vector{id_of(whole, "y")});
  REQUIRE(verify(part).has_value());
  CHECK(part.graph.order().size() == 2);
  CHECK(part.graph.inputs().size() == 3);
  const Model later =
      extract(whole, std::vector{id_of(whole, "a")}, std::vector{id_of(whole, "y")});
  REQUIRE(verify(later).has_value());
  CHECK(later.graph.order().size() == 1);
}

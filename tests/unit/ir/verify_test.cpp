#include "ir/model.h"
#include "unit/catch.h"
#include "unit/ir/parsed.h"

using namespace thimble::ir;

namespace {

Model good() {
  const Model model = thimble::test::parsed(R"(
weight @w: f32[4, 2]
graph main(%x: f32[n, 4], %s: f32[n, 2]) {
  %y: f32[n, 2] = MatMul(%x, @w)
  %z: f32[n, 2] = Relu(%y)
  return %z
})");
  REQUIRE(verify(model).has_value());
  return model;
}

std::string complaint(const Model& model) {
  const thimble::Status status = verify(model);
  return status ? "none" : status.error().message;
}

}  // namespace

TEST_CASE("the verifier finds every kind of damage") {
  Model model = good();
  Graph& g = model.graph;
  const std::vector<NodeId> order = g.order();
  const ValueId x = g.inputs()[0], z = g.outputs()[0];

  SECTION("an input that comes later") {
    g.set_input(order[0], 0, z);
    CHECK(complaint(model).find("later or nowhere") != std::string::npos);
  }
  SECTION("arity") {
    g.edit(order[1], [&](Node& node) { node.inputs.push_back(x); });
    CHECK(complaint(model) == "Relu with 2 inputs");
  }
  SECTION("a missing input") {
    g.set_input(order[1], 0, {});
    CHECK(complaint(model).find("missing") != std::string::npos);
  }
  SECTION("unknown attribute") {
    g.edit(order[1], [](Node& node) { node.attributes = {{"alpha", 1.0f}}; });
    CHECK(complaint(model) == "Relu has no attribute 'alpha'");
  }
  SECTION("attribute of another type") {
    g.edit(order[1], [](Node& node) {
      node.op = "Gelu";
      node.attributes = {{"approximate", std::int64_t{1}}};
    });
    CHECK(complaint(model) == "attribute 'approximate' must be a string");
  }
  SECTION("required attribute") {
    g.edit(order[1], [](Node& node) { node.op = "Cast"; });
    CHECK(complaint(model) == "Cast needs the attribute 'to'");
  }
  SECTION("unknown operator") {
    g.edit(order[1], [](Node& node) { node.op = "Frob"; });
    CHECK(complaint(model).find("unknown") != std::string::npos);
  }
  SECTION("a weight of another shape") {
    model.weights[0].dims = {2, 4};
    CHECK(complaint(model).find("another shape") != std::string::npos);
  }
  SECTION("a weight of another type") {
    model.weights[0].dtype = DType::kI64;
    CHECK(complaint(model).find("its weight makes i64") != std::string::npos);
  }
  SECTION("storage does not matter") {
    model.weights[0].dtype = DType::kBF16;
    CHECK(complaint(model) == "none");
  }
  SECTION("illegal encodings") {
    Encoding& e = model.weights[0].encoding;
    e.kind = EncodingKind::kAffine;
    e.bits = 4;
    CHECK(complaint(model) == "none");
    e.axis = 2;
    CHECK(complaint(model).find("illegal") != std::string::npos);
    e.axis = -1;
    e.bits = 9;
    CHECK(complaint(model).find("illegal") != std::string::npos);
    e.bits = 4;
    e.scale_type = DType::kI8;
    CHECK(complaint(model).find("illegal") != std::string::npos);
  }
  SECTION("impossible dims") {
    model.weights[0].dims = {-4, -2};
    CHECK(complaint(model).find("impossible") != std::string::npos);
  }
  SECTION("states join an input and an output") {
    model.states = {{"s", "z"}};
    CHECK(complaint(model) == "none");
    model.states = {{"s", "y"}};
    CHECK(complaint(model).find("does not join") != std::string::npos);
    model.states = {{"w", "z"}};
    CHECK(complaint(model).find("does not join") != std::string::npos);
  }
  SECTION("a result that names another producer") {
    g.value(z).producer = order[0];
    CHECK(complaint(model).find("another producer") != std::string::npos);
  }
  SECTION("the message names the node") {
    g.edit(order[1], [](Node& node) { node.name = "act", node.op = "Frob"; });
    CHECK(verify(model).error().notes == std::vector<std::string>{"node 'act' (Frob)"});
  }
}

// Bodies that read values of the graph around them.

#include "ir/model.h"
#include "unit/catch.h"
#include "unit/ir/parsed.h"

using namespace thimble;
using namespace thimble::ir;
using Catch::Contains;

namespace {

constexpr const char* kModel = R"(weight @w: f32[1] = [2.0]
body inner() captures (%a: f32[n]) {
  %r: f32[n] = Relu(%a)
  return %r
}
body middle(%i: f32[n]) captures (%a: f32[n], %c: bool[]) {
  %b: f32[n] = Relu(%i)
  %q: f32[n] = If(%c) {else_branch = #0, then_branch = #0}
  return %q
}
graph main(%x: f32[n], %c: bool[]) {
  %a: f32[n] = Relu(%x)
  %o: f32[n] = Sigmoid(%x)
  %y: f32[n] = If(%c) {else_branch = #1, then_branch = #1}
  return %y
}
)";

Model example() { return test::parsed(kModel); }

ValueId value(const Graph& graph, std::string_view name) {
  const auto found = graph.find_value(name);
  REQUIRE(found.has_value());
  return *found;
}

}  // namespace

TEST_CASE("captures print as they parse") { CHECK(print(example()) == kModel); }

TEST_CASE("a captured value is known as such") {
  const Model model = example();
  CHECK(is_captured(model, model.graph, value(model.graph, "a")));
  CHECK(is_captured(model, model.graph, value(model.graph, "c")));
  CHECK_FALSE(is_captured(model, model.graph, value(model.graph, "x")));
  CHECK_FALSE(is_captured(model, model.graphs[1], value(model.graphs[1], "c")));
}

TEST_CASE("captures follow a value that is renamed") {
  Model model = example();
  rename(model, model.graph, value(model.graph, "a"), "b");
  // `middle` has a `b` of its own, which steps aside.
  CHECK(model.graphs[1].find_value("b") == model.graphs[1].captures()[0]);
  CHECK(model.graphs[0].find_value("b") == model.graphs[0].captures()[0]);
  CHECK(model.graphs[1].find_value("b.1").has_value());
  CHECK_FALSE(model.graphs[0].find_value("a").has_value());
}

TEST_CASE("captures follow a value that is replaced") {
  Model model = example();
  Graph& graph = model.graph;
  replace_uses(model, graph, value(graph, "a"), value(graph, "o"));
  CHECK_FALSE(is_captured(model, graph, value(graph, "a")));
  CHECK(is_captured(model, graph, value(graph, "o")));
  CHECK(model.graphs[0].value(model.graphs[0].captures()[0]).name == "o");

  // By one that is captured already: both uses read the one capture.
  replace_uses(model, graph, value(graph, "o"), value(graph, "c"));
  CHECK(model.graphs[1].captures().size() == 1);
  CHECK(model.graphs[0].value(model.graphs[0].captures()[0]).name == "c");
}

TEST_CASE("a captured value that becomes a constant is one in the bodies") {
  Model model = example();
  const ValueId constant = model.constant(WeightId{0});
  replace_uses(model, model.graph, value(model.graph, "a"), constant);
  CHECK(model.graphs[0].captures().empty());
  const Node& relu = model.graphs[0].node(model.graphs[0].order()[0]);
  CHECK(model.graphs[0].value(relu.inputs[0]).weight == WeightId{0});
}

TEST_CASE("the main graph captures nothing") {
  Model model = *parse("graph main(%x: f32[n]) {\n  %y = Relu(%x)\n  return %y\n}\n");
  CHECK(verify(model));
  model.graph.add_capture("z", DType::kF32, std::nullopt);
  CHECK_THAT(verify(model).error().message, Contains("main graph captures"));
}

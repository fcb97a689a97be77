#include "ir/integer_forms.h"

#include "ir/model.h"
#include "unit/catch.h"
#include "unit/ir/parsed.h"

namespace thimble {

TEST_CASE("integer forms: whose scales matter, and where the codes go", "[ir]") {
  const ir::Model model = test::parsed(R"(weight @w: f32[2, 2, 1, 1] = [1.0, 0.0, 0.0, 1.0]
weight @dims: i64[2] = [1, -1]
graph main(%x: f32[1, 2, 4, 4]) {
  %a = Conv(%x, @w)
  %r = Relu(%a)
  %s = Add(%r, %x)
  %q = Relu(%s)
  %t = Sum(%s, %q, %x)
  %f = Reshape(%t, @dims)
  return %f
})");
  const ir::Graph& graph = model.graph;
  const auto node = [&](const char* result) -> const ir::Node& {
    return graph.node(graph.value(*graph.find_value(result)).producer);
  };
  const auto value = [&](const char* name) { return *graph.find_value(name); };
  CHECK(ir::integer_form(node("a")) == ir::IntegerForm::kConvolution);
  CHECK(ir::scaled_inputs(node("a")) == std::vector{value("x")});
  CHECK(ir::scaled_result(graph, node("a")) == value("r"));
  CHECK(ir::scaled_inputs(node("s")) == std::vector{value("r"), value("x")});
  CHECK(ir::scaled_result(graph, node("s")) == value("s"));  // the Sum reads it too
  CHECK(ir::integer_form(node("t")) == ir::IntegerForm::kNone);
  CHECK(ir::scaled_inputs(node("t")).empty());
  CHECK(ir::integer_form(node("f")) == ir::IntegerForm::kMovement);
  CHECK(ir::scaled_inputs(node("f")) == std::vector{value("t")});
}

}  // namespace thimble

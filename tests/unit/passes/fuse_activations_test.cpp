#include "unit/passes/run_pass.h"

using namespace thimble::test;

namespace {

// The one operator that the graph's output comes from after fusing and cleaning up, and how many
// nodes are left.
std::string fused(const std::string& body) {
  PassRun run = run_pass("fuse-activations", R"(weight @half: f32[] = [0.5]
weight @one: f32[] = [1.0]
weight @two: f32[] = [2.0]
weight @three: f32[] = [3.0]
weight @six: f32[] = [6.0]
weight @zero: f32[] = [0.0]
weight @root: f32[] = [1.4142135]
weight @inverse: f32[] = [0.70710677]
weight @outer: f32[] = [0.7978846]
weight @cubic: f32[] = [0.044715]
weight @quick: f32[] = [1.702]
graph main(%x: f32[n, 8], %z: f32[n, 8]) {
)" + body + "\n  return %y\n}");
  INFO(body);
  REQUIRE(run.error.empty());
  const thimble::ir::Graph& graph = run.model.graph;
  const thimble::ir::Node& node = graph.node(graph.value(graph.outputs()[0]).producer);
  std::string out = node.op + "(" + graph.value(node.inputs[0]).name + ")";
  for (const auto& attribute : node.attributes) out += " " + attribute.name;
  return out;
}

}  // namespace

TEST_CASE("Gelu is found however it is written") {
  CHECK(fused("%a = Div(%x, @root)\n%b = Erf(%a)\n%c = Add(%b, @one)\n%d = Mul(%x, %c)\n"
              "%y = Mul(%d, @half)") == "Gelu(x)");
  CHECK(fused("%a = Mul(%x, @inverse)\n%b = Erf(%a)\n%c = Add(@one, %b)\n%d = Mul(%x, @half)\n"
              "%y = Mul(%d, %c)") == "Gelu(x)");
  CHECK(fused("%a = Mul(%x, @inverse)\n%b = Erf(%a)\n%h = Mul(%b, @half)\n%c = Add(%h, @half)\n"
              "%y = Mul(%c, %x)") == "Gelu(x)");
  // x may be a product itself.
  CHECK(fused("%p = Mul(%x, %z)\n%a = Div(%p, @root)\n%b = Erf(%a)\n%c = Add(%b, @one)\n"
              "%d = Mul(%p, %c)\n%y = Mul(%d, @half)") == "Gelu(p)");
}

TEST_CASE("the tanh form of Gelu is found with its cube written three ways") {
  const std::string end =
      "\n%t = Tanh(%u)\n%g = Add(%t, @one)\n%h = Mul(%x, @half)\n%y = Mul(%h, %g)";
  CHECK(fused("%c = Pow(%x, @three)\n%k = Mul(%c, @cubic)\n%s = Add(%x, %k)\n%u = Mul(%s, @outer)" +
              end) == "Gelu(x) approximate");
  CHECK(fused("%q = Mul(%x, %x)\n%c = Mul(%q, %x)\n%k = Mul(@cubic, %c)\n%s = Add(%x, %k)\n"
              "%u = Mul(@outer, %s)" +
              end) == "Gelu(x) approximate");
  CHECK(fused("%q = Mul(%x, %x)\n%k = Mul(%q, @cubic)\n%s = Add(%k, @one)\n%o = Mul(%x, @outer)\n"
              "%u = Mul(%o, %s)" +
              end) == "Gelu(x) approximate");
}

TEST_CASE("other gates are found") {
  CHECK(fused("%s = Sigmoid(%x)\n%y = Mul(%x, %s)") == "Swish(x)");
  CHECK(fused("%a = Mul(%x, @quick)\n%s = Sigmoid(%a)\n%y = Mul(%x, %s)") == "Swish(x) alpha");
  CHECK(fused("%a = Add(%x, @three)\n%c = Clip(%a, @zero, @six)\n%m = Mul(%x, %c)\n"
              "%y = Div(%m, @six)") == "HardSwish(x)");
}

TEST_CASE("what only looks like an activation is left alone") {
  CHECK(fused("%s = Sigmoid(%z)\n%y = Mul(%x, %s)") == "Mul(x)");
  CHECK(fused("%a = Div(%x, @two)\n%b = Erf(%a)\n%c = Add(%b, @one)\n%d = Mul(%x, %c)\n"
              "%y = Mul(%d, @half)") == "Mul(d)");
  CHECK(fused("%a = Div(%x, @root)\n%b = Erf(%a)\n%c = Add(%b, @two)\n%d = Mul(%x, %c)\n"
              "%y = Mul(%d, @half)") == "Mul(d)");
}

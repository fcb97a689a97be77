#include "unit/passes/run_pass.h"

using namespace thimble::test;

namespace {

std::string fused(const std::string& pass, const std::string& inputs, const std::string& body) {
  PassRun run = run_pass(pass, R"(weight @last: i64[1] = [-1]
weight @first: i64[1] = [1]
weight @two: f32[] = [2.0]
weight @one: f32[] = [1.0]
weight @epsilon: f32[] = [0.00001]
weight @minus_half: f32[] = [-0.5]
weight @scale: f32[4] = [1.0, 2.0, 3.0, 4.0]
weight @bias: f32[4] = [1.0, 2.0, 3.0, 5.0]
weight @root: f32[] = [0.5]
weight @low: f32[] = [-10000.0]
weight @split: i64[4] = [0, 0, 2, 2]
weight @join: i64[3] = [0, 0, 4]
graph main()" + inputs + ") {\n" + body +
                                   "\n  return %y\n}");
  INFO(body);
  REQUIRE(run.error.empty());
  const thimble::ir::Graph& graph = run.model.graph;
  const thimble::ir::Node& node = graph.node(graph.value(graph.outputs()[0]).producer);
  std::string out = node.op + "(";
  for (const auto input : node.inputs)
    out += (out.back() == '(' ? "" : ", ") + graph.value(input).name;
  return out + ")";
}

std::string norm(const std::string& body) { return fused("fuse-norms", "%x: f32[n, 4]", body); }

}  // namespace

TEST_CASE("LayerNormalization is found in the nine nodes of an exporter") {
  const std::string centre = "%m = ReduceMean(%x, @last)\n%d = Sub(%x, %m)\n";
  const std::string deviation =
      "%v = ReduceMean(%q, @last)\n%e = Add(%v, @epsilon)\n%s = Sqrt(%e)\n";
  CHECK(norm(centre + "%q = Pow(%d, @two)\n" + deviation +
             "%o = Div(%d, %s)\n%g = Mul(%o, @scale)\n%y = Add(%g, @bias)") ==
        "LayerNormalization(x, scale, bias)");
  CHECK(norm(centre + "%q = Mul(%d, %d)\n" + deviation +
             "%r = Reciprocal(%s)\n%g = Mul(@scale, %r)\n%o = Mul(%d, %g)\n%y = Add(@bias, %o)") ==
        "LayerNormalization(x, scale, bias)");
  CHECK(norm(centre + "%q = Mul(%d, %d)\n" + deviation + "%y = Div(%d, %s)") ==
        "LayerNormalization(x, ones)");
}

TEST_CASE("RMSNormalization is found") {
  CHECK(norm("%q = Pow(%x, @two)\n%v = ReduceMean(%q, @last)\n%e = Add(%v, @epsilon)\n"
             "%s = Pow(%e, @minus_half)\n%o = Mul(%x, %s)\n%y = Mul(@scale, %o)") ==
        "RMSNormalization(x, scale)");
}

TEST_CASE("a mean over another axis or of another value is no norm") {
  const std::string end =
      "%e = Add(%v, @epsilon)\n%s = Sqrt(%e)\n%o = Div(%d, %s)\n%y = Mul(%o, @scale)";
  CHECK(fused("fuse-norms", "%x: f32[n, 4], %z: f32[n, 4]",
              "%m = ReduceMean(%z, @last)\n%d = Sub(%x, %m)\n%q = Pow(%d, @two)\n"
              "%v = ReduceMean(%q, @last)\n" +
                  end) != "LayerNormalization(x, scale)");
  CHECK(fused("fuse-norms", "%x: f32[n, 4, 4]",
              "%m = ReduceMean(%x, @first)\n%d = Sub(%x, %m)\n%q = Pow(%d, @two)\n"
              "%v = ReduceMean(%q, @first)\n" +
                  end) == "Mul(o, scale)");
}

TEST_CASE("attention of an encoder is found with its scale and mask in any place") {
  const std::string heads =
      "%q0 = Reshape(%q, @split)\n%k0 = Reshape(%k, @split)\n%v0 = Reshape(%v, @split)\n"
      "%q1 = Transpose(%q0) {perm = [0, 2, 1, 3]}\n%v1 = Transpose(%v0) {perm = [0, 2, 1, 3]}\n";
  const std::string end =
      "%p = Softmax(%s) {axis = -1}\n%o = MatMul(%p, %v1)\n"
      "%t = Transpose(%o) {perm = [0, 2, 1, 3]}\n%y = Reshape(%t, @join)";
  const std::string inputs =
      "%q: f32[b, s, 4], %k: f32[b, s, 4], %v: f32[b, s, 4], %m: i64[b, 1, 1, s]";
  const auto attention = [&](const std::string& scores) {
    return fused("fuse-attention", inputs, heads + scores + end);
  };
  CHECK(attention("%k1 = Transpose(%k0) {perm = [0, 2, 3, 1]}\n%a = MatMul(%q1, %k1)\n"
                  "%s = Mul(%a, @root)\n") == "Attention(q, k, v)");
  CHECK(attention("%k1 = Transpose(%k0) {perm = [0, 2, 3, 1]}\n%a = MatMul(%q1, %k1)\n"
                  "%b = Div(%a, @two)\n%f = Cast(%m) {to = 1}\n%i = Sub(@one, %f)\n"
                  "%w = Mul(%i, @low)\n%s = Add(%b, %w)\n") == "Attention(q, k, v, m.visible)");
  CHECK(attention("%k1 = Transpose(%k0) {perm = [0, 2, 1, 3]}\n"
                  "%k2 = Transpose(%k1) {perm = [0, 1, 3, 2]}\n%k3 = Mul(%k2, @root)\n"
                  "%q2 = Mul(%q1, @root)\n%s = MatMul(%q2, %k3)\n") == "Attention(q, k, v)");
  // Scores that miss the transposition of the keys aren't attention.
  CHECK(attention("%k1 = Transpose(%k0) {perm = [0, 2, 1, 3]}\n%s = MatMul(%q1, %k1)\n") ==
        "Reshape(t, join)");
}

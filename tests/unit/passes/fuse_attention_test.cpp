#include "unit/passes/same_results.h"

using namespace thimble::test;

namespace {

const std::string kShapes =
    "weight @root: f32[] = [1.4142135]\n"
    "weight @split: i64[4] = [0, 0, 4, 2]\n"
    "weight @pairs: i64[4] = [0, 0, 2, 2]\n"
    "weight @packed: i64[5] = [0, 0, 3, 4, 2]\n"
    "weight @merge: i64[3] = [0, 0, 8]\n"
    "weight @two: i64[1] = [2]\n"
    "weight @wide: i64[5] = [2, 2, 2, 5, 2]\n"
    "weight @four: i64[4] = [2, 4, 5, 2]\n"
    "weight @i: i64[] = [0]\n"
    "weight @j: i64[] = [1]\n"
    "weight @k: i64[] = [2]\n";

std::string fused(const std::string& inputs, const std::string& body) {
  const std::string end =
      "%d = Div(%s, @root)\n%p = Softmax(%d) {axis = -1}\n%o = MatMul(%p, %v)\n"
      "%t = Transpose(%o) {perm = [0, 2, 1, 3]}\n%y = Reshape(%t, @merge)\n";
  const std::string text = kShapes + "graph main(" + inputs + ") {\n" + body + end + "return %y\n}";
  const thimble::ir::Model model = lossless("fuse-attention", text);
  const auto& graph = model.graph;
  const auto& node = graph.node(graph.value(graph.outputs()[0]).producer);
  std::string out = node.op;
  for (const auto input : node.inputs) out += " " + graph.value(input).name;
  return out + ", heads " + std::to_string(node.integer("q_num_heads", 0)) + "/" +
         std::to_string(node.integer("kv_num_heads", 0));
}

std::string heads(const std::string& name, const std::string& from, const std::string& shape) {
  return "%" + name + "4 = Reshape(" + from + ", " + shape + ")\n%" + name + " = Transpose(%" +
         name + "4) {perm = [0, 2, 1, 3]}\n";
}

}  // namespace

TEST_CASE("attention over three products") {
  CHECK(fused("%a: f32[2, 5, 8], %b: f32[2, 5, 8], %c: f32[2, 5, 8]",
              heads("q", "%a", "@split") + heads("k0", "%b", "@split") +
                  "%k1 = Transpose(%k0) {perm = [0, 1, 3, 2]}\n" + heads("v", "%c", "@split") +
                  "%s = MatMul(%q, %k1)\n") == "Attention a b c, heads 4/4");
}

TEST_CASE("attention over one packed product") {
  CHECK(fused("%x: f32[2, 5, 24]",
              "%r = Reshape(%x, @packed)\n%all = Transpose(%r) {perm = [2, 0, 3, 1, 4]}\n"
              "%q = Gather(%all, @i)\n%k0 = Gather(%all, @j)\n%v = Gather(%all, @k)\n"
              "%k1 = Transpose(%k0) {perm = [0, 1, 3, 2]}\n%s = MatMul(%q, %k1)\n") ==
        "Attention x.q x.k x.v, heads 4/4");
}

TEST_CASE("heads that are repeated for groups of queries") {
  const auto repeat = [](const std::string& name, const std::string& from) {
    return heads(name + "h", from, "@pairs") + "%" + name + "u = Unsqueeze(%" + name +
           "h, @two)\n%" + name + "e = Expand(%" + name + "u, @wide)\n%" + name + " = Reshape(%" +
           name + "e, @four)\n";
  };
  CHECK(fused("%a: f32[2, 5, 8], %b: f32[2, 5, 4], %c: f32[2, 5, 4]",
              heads("q", "%a", "@split") + repeat("kk", "%b") +
                  "%k1 = Transpose(%kk) {perm = [0, 1, 3, 2]}\n" + repeat("v", "%c") +
                  "%s = MatMul(%q, %k1)\n") == "Attention a b c, heads 4/2");
}

TEST_CASE("heads that are paired another way stay") {
  // Repeated in a row, the heads of groups would mix: tile instead of repeat.
  const PassRun run = run_pass("fuse-attention", kShapes + R"(
graph main(%a: f32[2, 5, 8], %b: f32[2, 5, 4], %v: f32[2, 4, 5, 2]) {
  %q4 = Reshape(%a, @split)
  %q = Transpose(%q4) {perm = [0, 2, 1, 3]}
  %h4 = Reshape(%b, @pairs)
  %h = Transpose(%h4) {perm = [0, 2, 1, 3]}
  %kk = Concat(%h, %h) {axis = 1}
  %k1 = Transpose(%kk) {perm = [0, 1, 3, 2]}
  %s = MatMul(%q, %k1)
  %p = Softmax(%s) {axis = -1}
  %o = MatMul(%p, %v)
  %t = Transpose(%o) {perm = [0, 2, 1, 3]}
  %y = Reshape(%t, @merge)
  return %y
})");
  CHECK(run.report.passes.at(0).changes == 0);
}

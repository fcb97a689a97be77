#include "calibrate/blocks.h"

#include "unit/catch.h"
#include "unit/ir/parsed.h"

namespace thimble::calibrate {
namespace {

// A graph of x: f32[1, 4, 6, 6] with 1x1 convolutions over 4 channels.
ir::Model model(const std::string& nodes, const std::string& inputs = "",
                const std::string& bodies = "") {
  std::string zeros = "0.5";
  for (int i = 1; i < 16; ++i) zeros += ", 0.5";
  std::string weights;
  for (int i = 0; i < 20; ++i)
    weights += "weight @w" + std::to_string(i) + ": f32[4, 4, 1, 1] = [" + zeros + "]\n";
  return test::inferred(weights + bodies + "graph main(%x: f32[1, 4, 6, 6]" + inputs + ") {\n" +
                        nodes + "  return %y\n}\n");
}

// Blocks as the names of what their nodes give: "a b|c|y".
std::string cut(const ir::Model& model) {
  std::string out;
  for (const Block& block : cut_into_blocks(model)) {
    if (!out.empty()) out += "|";
    for (std::size_t i = 0; i < block.nodes.size(); ++i) {
      const ir::Node& node = model.graph.node(block.nodes[i]);
      out += (i > 0 ? " " : "") + model.graph.value(node.outputs[0]).name;
    }
  }
  return out;
}

std::string names(const ir::Model& model, const std::vector<ir::ValueId>& values) {
  std::string out;
  for (const ir::ValueId value : values)
    out += (out.empty() ? "" : " ") + model.graph.value(value).name;
  return out;
}

}  // namespace

TEST_CASE("a chain is cut before each product") {
  CHECK(cut(model("  %a = Conv(%x, @w0)\n  %b = Relu(%a)\n  %c = Conv(%b, @w1)\n"
                  "  %y = Relu(%c)\n")) == "a b|c y");
}

TEST_CASE("a graph without weights is one block") {
  CHECK(cut(model("  %a = Relu(%x)\n  %y = Relu(%a)\n")) == "a y");
}

TEST_CASE("a residual block stays together, and so do branches") {
  CHECK(cut(model("  %s = Conv(%x, @w0)\n  %a = Conv(%s, @w1)\n  %b = Conv(%a, @w2)\n"
                  "  %r = Add(%b, %s)\n  %p = Conv(%r, @w3)\n  %q = Conv(%r, @w4)\n"
                  "  %m = Add(%p, %q)\n  %y = Conv(%m, @w5)\n")) == "s|a b r|p q m|y");
  CHECK(cut(model("  %a = Conv(%x, @w0)\n  %b = Conv(%x, @w1)\n  %y = Add(%a, %b)\n")) == "a b y");
}

TEST_CASE("what doesn't depend on weights may go across a cut") {
  const ir::Model masked = model(
      "  %n = Neg(%m)\n  %a = Conv(%x, @w0)\n  %b = Add(%a, %n)\n  %c = Conv(%b, @w1)\n"
      "  %y = Add(%c, %n)\n",
      ", %m: f32[1, 4, 6, 6]");
  CHECK(cut(masked) == "n a b|c y");
  const std::vector<Block> blocks = cut_into_blocks(masked);
  CHECK(names(masked, blocks[0].reads) == "m x");
  CHECK(names(masked, blocks[0].writes) == "n b");
  CHECK(names(masked, blocks[1].reads) == "b n");
}

TEST_CASE("what a body captures is carried to its block") {
  const ir::Model branches = model(
      "  %p = Relu(%x)\n  %a = Conv(%x, @w0)\n  %b = Conv(%a, @w1)\n"
      "  %y = If(%c) {else_branch = #0, then_branch = #0}\n",
      ", %c: bool[]",
      "body inner() captures (%p: f32[1, 4, 6, 6], %b: f32[1, 4, 6, 6]) {\n"
      "  %s: f32[1, 4, 6, 6] = Add(%p, %b)\n  return %s\n}\n");
  CHECK(cut(branches) == "p a|b y");
  CHECK(names(branches, cut_into_blocks(branches)[1].reads) == "a c p");
}

TEST_CASE("a long piece is cut again where two values go across") {
  // A skip over all of it leaves no place where one does.
  std::string nodes = "  %s = Conv(%x, @w0)\n";
  std::string last = "s";
  for (int i = 1; i < 16; ++i) {
    const std::string n = std::to_string(i);
    nodes += "  %c" + n + " = Conv(%" + last + ", @w" + n + ")\n";
    last = "c" + n;
  }
  const ir::Model skipped = model(nodes + "  %y = Add(%" + last + ", %s)\n");
  const std::vector<Block> blocks = cut_into_blocks(skipped);
  CHECK(blocks.size() == 16);
  for (const Block& block : blocks) CHECK(block.keeps.size() <= 2);
}

TEST_CASE("names that number layers win over the graph, but for a layer of many weights") {
  std::string nodes = "  %a = Conv(%x, @w0)  // layers.0.a\n  %b = Conv(%a, @w1)  // layers.0.b\n";
  CHECK(cut(model(nodes + "  %y = Conv(%b, @w2)  // layers.1.a\n")) == "a b|y");
  std::string last = "b";
  for (int i = 2; i < 14; ++i) {
    const std::string n = std::to_string(i);
    nodes += "  %c" + n + " = Conv(%" + last + ", @w" + n + ")  // layers.0.c\n";
    last = "c" + n;
  }
  CHECK(cut_into_blocks(model(nodes + "  %y = Relu(%c13)  // layers.0.r\n")).size() == 14);
}

}  // namespace thimble::calibrate

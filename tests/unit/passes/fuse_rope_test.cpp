#include "unit/passes/same_results.h"

using namespace thimble::test;

namespace {

// Angles [batch, seq, 2] said twice over make tables [batch, 1, seq, 4].
const std::string kTables =
    "weight @one: i64[1] = [1]\n"
    "weight @zero: i64[1] = [0]\n"
    "weight @middle: i64[1] = [2]\n"
    "weight @end: i64[1] = [9223372036854775807]\n"
    "weight @last: i64[1] = [-1]\n"
    "weight @halves: i64[2] = [2, 2]\n"
    "weight @split: i64[4] = [0, 0, 3, 4]\n"
    "weight @factor: f32[] = [1.5]\n";
const std::string kAngles =
    "%both = Concat(%angles, %angles) {axis = -1}\n"
    "%c0 = Cos(%both)\n%c1 = Mul(%c0, @factor)\n%cos = Unsqueeze(%c1, @one)\n"
    "%s0 = Sin(%both)\n%s1 = Mul(%s0, @factor)\n%sin = Unsqueeze(%s1, @one)\n";
const std::string kSlices =
    "%first = Slice(%x, @zero, @middle, @last, @one)\n"
    "%second = Slice(%x, @middle, @end, @last, @one)\n";
const std::string kTurn =
    "%negated = Neg(%second)\n%turned = Concat(%negated, %first) {axis = -1}\n"
    "%a = Mul(%x, %cos)\n%b = Mul(%turned, %sin)\n%y = Add(%a, %b)\nreturn %y\n}";

std::string graph(const std::string& inputs, const std::string& body) {
  return kTables + "graph main(" + inputs + ") {\n" + body + kTurn;
}

int count(const thimble::ir::Model& model, std::string_view op) {
  int found = 0;
  for (const auto id : model.graph.order()) found += model.graph.node(id).op == op;
  return found;
}

}  // namespace

TEST_CASE("a turn of heads that a Transpose split goes before the Transpose") {
  const auto model = lossless(
      "fuse-rope", graph("%q: f32[batch, 5, 12], %angles: f32[batch, 5, 2]",
                         "%q4 = Reshape(%q, @split)\n%x = Transpose(%q4) {perm = [0, 2, 1, 3]}\n" +
                             kAngles + kSlices));
  const auto& made = model.graph;
  const auto& last = made.node(made.value(made.outputs()[0]).producer);
  REQUIRE(last.op == "Transpose");
  const auto& split = made.node(made.value(last.inputs[0]).producer);
  REQUIRE(split.op == "Reshape");
  const auto& rope = made.node(made.value(split.inputs[0]).producer);
  CHECK(rope.op == "RotaryEmbedding");
  CHECK(rope.integer("num_heads", 0) == 3);
  CHECK(count(model, "Expand") == 0);  // the tables have the batch of what they turn
}

TEST_CASE("a turn of four axes, cut by Split, by tables of one batch") {
  const auto model = lossless("fuse-rope", graph("%x: f32[batch, 3, 5, 4], %angles: f32[1, 5, 2]",
                                                 kAngles + "%first, %second = Split(%x, @halves) "
                                                           "{axis = 3}\n"));
  CHECK(count(model, "RotaryEmbedding") == 1);
  CHECK(count(model, "Expand") == 2);
}

TEST_CASE("a turn by constants") {
  const std::string tables =
      "weight @cos: f32[2, 4] = [1.0, 0.5, 1.0, 0.5, 0.25, -1.0, 0.25, -1.0]\n"
      "weight @sin: f32[2, 4] = [0.0, 0.5, 0.0, 0.5, 0.75, 0.0, 0.75, 0.0]\n";
  std::string text = tables + graph("%x: f32[2, 3, 2, 4]", kSlices);
  for (const char* name : {"cos", "sin"}) {
    const std::size_t at = text.find("%" + std::string(name) + ")");
    text[at] = '@';
  }
  CHECK(count(lossless("fuse-rope", text), "RotaryEmbedding") == 1);
  // Pairs next to each other: the halves of such tables differ, and this isn't their turn.
  text.replace(text.find("0.25, -1.0, 0.25"), 16, "0.25, 0.25, -1.0");
  CHECK(run_pass("fuse-rope", text).report.passes.at(0).changes == 0);
}

TEST_CASE("what only looks like a turn stays") {
  const std::string inputs = "%x: f32[2, 3, 5, 4], %angles: f32[2, 5, 2]";
  // The halves the wrong way round.
  std::string swapped = graph(inputs, kAngles + kSlices);
  swapped.replace(swapped.find("Neg(%second)"), 12, "Neg(%first) ");
  swapped.replace(swapped.find("(%negated, %first)"), 18, "(%negated, %second)");
  CHECK(run_pass("fuse-rope", swapped).report.passes.at(0).changes == 0);
  // Angles of which nothing is known.
  const std::string unequal = graph("%x: f32[2, 3, 5, 4], %both: f32[2, 5, 4]",
                                    kAngles.substr(kAngles.find("%c0")) + kSlices);
  CHECK(run_pass("fuse-rope", unequal).report.passes.at(0).changes == 0);
}

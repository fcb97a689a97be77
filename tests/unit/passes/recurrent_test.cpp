#include <cmath>

#include "unit/passes/same_results.h"

using namespace thimble::test;

namespace {

// Seeded numbers of a weight, for the text of a graph.
std::string weight(const std::string& name, std::vector<int> dims) {
  std::string shape, values;
  int count = 1;
  for (const int dim : dims) {
    shape += (shape.empty() ? "" : ", ") + std::to_string(dim);
    count *= dim;
  }
  std::uint32_t state = static_cast<std::uint32_t>(name.back()) + 7u;
  for (int i = 0; i < count; ++i) {
    state = state * 1664525u + 1013904223u;
    const int drawn = static_cast<int>(state >> 22) - 512;
    values += (values.empty() ? "" : ", ") + std::to_string(drawn / 1024.0);
  }
  return "weight @" + name + ": f32[" + shape + "] parameters " + std::to_string(count) + " = [" +
         values + "]\n";
}

// Quantizes W and R and compares with the float network, in dB.
double quantized_db(const std::string& op, int gates, int hidden, int directions,
                    const std::string& attributes, int bits) {
  const int width = gates * hidden;
  const std::string text =
      weight("w", {directions, width, 40}) + weight("r", {directions, width, hidden}) +
      weight("b", {directions, 2 * width}) + "graph main(%x: f32[5, 2, 40]) {\n  %y, %h = " + op +
      "(%x, @w, @r, @b) {hidden_size = " + std::to_string(hidden) +
      (directions == 2 ? ", direction = \"bidirectional\"" : "") + attributes +
      "}\n  return %y, %h\n}";
  auto before = thimble::ir::parse(text);
  if (!before) FAIL(before.error().to_string());
  REQUIRE(thimble::ir::infer_shapes(*before).has_value());
  const PassRun run = run_pass("quantize-weights", text, map({{"bits", number(bits)}}));
  INFO(run.error);
  REQUIRE(run.error.empty());
  REQUIRE(run.report.passes.at(0).changes == 2);
  CHECK_FALSE(run.model.weights[0].encoding.is_dense());
  CHECK_FALSE(run.model.weights[1].encoding.is_dense());
  return agreement_db(SeededRun(*before), SeededRun(run.model));
}

}  // namespace

TEST_CASE("recurrent networks run with W and R in tiles") {
  CHECK(quantized_db("LSTM", 4, 16, 1, "", 8) > 40);
  CHECK(quantized_db("LSTM", 4, 20, 2, "", 8) > 40);
  CHECK(quantized_db("GRU", 3, 16, 2, ", linear_before_reset = 1", 8) > 40);
  CHECK(quantized_db("GRU", 3, 24, 1, "", 8) > 40);
  CHECK(quantized_db("RNN", 1, 33, 1, "", 8) > 40);
  CHECK(quantized_db("LSTM", 4, 16, 1, "", 4) > 15);
}

TEST_CASE("what does not begin with a tile is decoded beforehand") {
  CHECK(quantized_db("GRU", 3, 5, 1, "", 8) > 40);
  CHECK(quantized_db("LSTM", 4, 5, 2, "", 8) > 40);
}

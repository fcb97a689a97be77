
#include "unit/passes/same_results.h"

using namespace thimble::test;

namespace {

// Quantizes W and R and compares with the float network, in dB.
double quantized_db(const std::string& op, int gates, int hidden, int directions,
                    const std::string& attributes, int bits) {
  const int width = gates * hidden;
  const std::string text = seeded_weight("w", {directions, width, 40}) +
                           seeded_weight("r", {directions, width, hidden}) +
                           seeded_weight("b", {directions, 2 * width}) +
                           "graph main(%x: f32[5, 2, 40]) {\n  %y, %h = " + op +
                           "(%x, @w, @r, @b) {hidden_size = " + std::to_string(hidden) +
                           (directions == 2 ? ", direction = \"bidirectional\"" : "") + attributes +
                           "}\n  return %y, %h\n}";
  const thimble::ir::Model before = inferred(text);
  const PassRun run = run_pass("quantize-weights", text, map({{"bits", number(bits)}}));
  INFO(run.error);
  REQUIRE(run.error.empty());
  REQUIRE(run.report.passes.at(0).changes == 2);
  CHECK_FALSE(run.model.weights[0].encoding.is_dense());
  CHECK_FALSE(run.model.weights[1].encoding.is_dense());
  return agreement_db(SeededRun(before), SeededRun(run.model));
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

// An exporter's LSTM: its gates are put into ONNX's order when it runs, in a branch of its own.
TEST_CASE("weights in bodies are quantized, and what their networks are put together from") {
  const std::string text = seeded_weight("w", {64, 40}) + seeded_weight("r", {64, 16}) +
                           seeded_weight("c", {8, 16, 1}) +
                           R"(weight @zero: i64[1] = [0]
weight @half: i64[1] = [32]
weight @end: i64[1] = [64]
body then() captures (%x: f32[5, 2, 40]) {
  %a: f32[32, 40] = Slice(@w, @half, @end, @zero)
  %b: f32[32, 40] = Slice(@w, @zero, @half, @zero)
  %ab: f32[64, 40] = Concat(%a, %b) {axis = 0}
  %w1: f32[1, 64, 40] = Unsqueeze(%ab, @zero)
  %r1: f32[1, 64, 16] = Unsqueeze(@r, @zero)
  %y, %h: f32[1, 2, 16] = LSTM(%x, %w1, %r1) {hidden_size = 16}
  %t: f32[2, 16, 1] = Transpose(%h) {perm = [1, 2, 0]}
  %z: f32[2, 8, 1] = Conv(%t, @c)
  return %z
}
body else() captures (%x: f32[5, 2, 40]) {
  %e: f32[1, 1, 1] = ReduceMean(%x)
  return %e
}
graph main(%x: f32[5, 2, 40]) {
  %m: f32[] = ReduceMax(%x) {keepdims = 0}
  %flag: bool[] = Cast(%m) {to = 9}
  %out: f32[2, 8, 1] = If(%flag) {else_branch = #1, then_branch = #0}
  return %out
})";
  const thimble::ir::Model before = inferred(text);
  const PassRun folded = run_pass("fold-constants", text);
  CHECK(folded.report.passes.at(0).changes == 2);
  for (const char* pass : {"quantize-weights", "hqq"}) {
    CAPTURE(pass);
    const PassRun run =
        run_pass(pass, thimble::ir::print(folded.model), map({{"bits", number(8)}}));
    INFO(run.error);
    CHECK(run.report.passes.at(0).changes == 3);
  }
  const PassRun first = run_pass("quantize-weights", text, map({{"bits", number(8)}}));
  CHECK(first.report.passes.at(0).changes == 1);  // the Conv alone
  CHECK(agreement_db(SeededRun(before), SeededRun(first.model)) > 40);
}

TEST_CASE("what does not begin with a tile is decoded beforehand") {
  CHECK(quantized_db("GRU", 3, 5, 1, "", 8) > 40);
  CHECK(quantized_db("LSTM", 4, 5, 2, "", 8) > 40);
}

// Weights of convolutions that no kernel multiplies in codes: of transposed ones, and of groups
// that don't fill tiles.

#include "unit/passes/same_results.h"

using namespace thimble;
using namespace thimble::test;

TEST_CASE("transposed and grouped convolutions run with weights in tiles") {
  const std::string text = seeded_weight("w", {16, 24, 4}) + seeded_weight("g", {24, 8, 3}) +
                           R"(graph main(%x: f32[2, 16, 9]) {
  %t: f32[2, 24, 18] = ConvTranspose(%x, @w) {pads = [1, 1], strides = [2]}
  %y: f32[2, 24, 16] = Conv(%t, @g) {group = 3}
  return %y
})";
  const ir::Model before = inferred(text);
  for (const char* pass : {"quantize-weights", "hqq"}) {
    CAPTURE(pass);
    const PassRun run = run_pass(pass, text, map({{"bits", number(8)}}));
    INFO(run.error);
    CHECK(run.report.passes.at(0).changes == 2);
    CHECK(agreement_db(SeededRun(before), SeededRun(run.model)) > 35);
    const auto lowered = lower::lower(run.model);
    REQUIRE(lowered);
    for (const program::Tensor& tensor : lowered->program.tensors)
      CHECK(tensor.layout == program::Layout::kTiles);
  }
}

TEST_CASE("a transposed convolution's weight may be of 16 bits") {
  const std::string text = seeded_weight("w", {16, 24, 4}) + R"(graph main(%x: f32[2, 16, 9]) {
  %y: f32[2, 24, 18] = ConvTranspose(%x, @w) {pads = [1, 1], strides = [2]}
  return %y
})";
  const PassRun run = run_pass("convert-floats", text);
  CHECK(run.report.passes.at(0).changes == 1);
  CHECK(agreement_db(SeededRun(inferred(text)), SeededRun(run.model)) > 60);
}

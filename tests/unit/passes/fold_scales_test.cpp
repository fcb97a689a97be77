#include "unit/passes/same_results.h"

using namespace thimble::test;

namespace {

const std::string kVectors = R"(
weight @scale: f32[4] = [1.0, 2.0, -3.0, 0.5]
weight @shift: f32[4] = [0.5, -1.0, 2.0, 0.0]
weight @mean: f32[4] = [0.25, 1.0, -1.0, 0.0]
weight @variance: f32[4] = [1.0, 0.5, 2.0, 4.0]
weight @bias: f32[4] = [1.0, -1.0, 0.5, 2.0]
weight @column: f32[4, 1] = [1.0, 2.0, 3.0, 4.0]
weight @w: f32[4, 2, 1] = [1.0, 2.0, 3.0, 4.0, -1.0, 0.5, 0.25, 2.0]
weight @grouped: f32[4, 1, 2] = [1.0, 2.0, 3.0, 4.0, -1.0, 0.5, 0.25, 2.0]
weight @back: f32[4, 2, 1] = [1.0, 2.0, 3.0, 4.0, -1.0, 0.5, 0.25, 2.0]
weight @rows: f32[4, 3] = [1.0, 2.0, 3.0, 4.0, -1.0, 0.5, 0.25, 2.0, 1.5, 1.0, 2.5, -2.0]
weight @columns: f32[3, 4] = [1.0, 2.0, 3.0, 4.0, -1.0, 0.5, 0.25, 2.0, 1.5, 1.0, 2.5, -2.0]
)";
const std::string kNorm =
    "BatchNormalization(%a, @scale, @shift, @mean, @variance) {epsilon = 0.001}";

std::string folded(const std::string& input, const std::string& body) {
  return nodes_of(lossless("fold-scales", kVectors + "graph main(%x: f32" + input + ") {\n" + body +
                                              "\n  return %y\n}"));
}

}  // namespace

TEST_CASE("BatchNormalization folds into the convolution before it") {
  CHECK(folded("[n, 2, 5]", "%a = Conv(%x, @w)\n%y = " + kNorm) == "y = Conv(x, w, w.bias)\n");
  CHECK(folded("[n, 4, 5]", "%a = Conv(%x, @grouped, @bias) {group = 4}\n%y = " + kNorm) ==
        "y = Conv(x, grouped, bias)\n");
  CHECK(folded("[n, 4, 5]", "%a = ConvTranspose(%x, @back, @bias) {group = 2}\n%y = " + kNorm) ==
        "y = ConvTranspose(x, back, bias)\n");
}

TEST_CASE("factors and terms per channel fold into products") {
  CHECK(folded("[n, 2, 5]", "%a = Conv(%x, @w)\n%b = Mul(%a, @column)\n%y = Add(@column, %b)") ==
        "y = Conv(x, w, w.bias)\n");
  CHECK(folded("[n, 3]",
               "%a = Gemm(%x, @rows, @bias) {transB = 1}\n%b = Mul(%a, @scale)\n"
               "%y = Sub(%b, @shift)") == "y = Gemm(x, rows, bias)\n");
  CHECK(folded("[n, 3]", "%a = Gemm(%x, @columns)\n%y = Div(%a, @variance)") ==
        "y = Gemm(x, columns)\n");
  CHECK(folded("[n, 2, 3]", "%a = MatMul(%x, @columns)\n%y = Mul(%a, @scale)") ==
        "y = MatMul(x, columns)\n");
}

TEST_CASE("a weight that others use is neither scaled nor copied") {
  const PassRun run = run_pass("fold-scales", kVectors + R"(graph main(%x: f32[n, 2, 5]) {
  %a = Conv(%x, @w)
  %b = Conv(%x, @w)
  %y = Mul(%a, @column)
  return %y, %b
})");
  CHECK(run.error.empty());
  CHECK(run.report.passes.at(0).changes == 0);
  REQUIRE(run.report.passes[0].decisions.size() == 1);
  CHECK(run.report.passes[0].decisions[0].why ==
        "Mul was not folded: other nodes use the weight too");
}

TEST_CASE("a factor along other axes than the channels stays") {
  const PassRun run = run_pass("fold-scales", kVectors + R"(graph main(%x: f32[n, 2, 4]) {
  %a = Conv(%x, @w)
  %y = Mul(%a, @scale)
  return %y
})");
  CHECK(run.report.passes.at(0).changes == 0);
}

TEST_CASE("Pad folds into what reads it alone") {
  const std::string weights = kVectors +
                              "weight @pads: i64[6] = [0, 0, 1, 0, 0, 2]\n"
                              "weight @zero: f32[] = [0.0]\n";
  const auto model = lossless("fold-pads", weights + R"(graph main(%x: f32[n, 2, 5]) {
  %p = Pad(%x, @pads, @zero)
  %y = Conv(%p, @w) {pads = [1, 0]}
  return %y
})");
  CHECK(nodes_of(model) == "y = Conv(x, w)\n");
  const auto& conv = model.graph.node(model.graph.value(model.graph.outputs()[0]).producer);
  CHECK(conv.integers("pads") == std::vector<std::int64_t>{2, 2});
  const PassRun kept = run_pass("fold-pads", weights + R"(graph main(%x: f32[n, 2, 5]) {
  %p = Pad(%x, @pads, @zero) {mode = "edge"}
  %y = Conv(%p, @w)
  %q = Pad(%x, @pads, @zero)
  %z = MaxPool(%q) {kernel_shape = [2]}
  return %y, %z
})");
  CHECK(kept.report.passes.at(0).changes == 0);
}

#include "unit/passes/same_results.h"

using namespace thimble::test;

namespace {

using Numbers = std::vector<std::int64_t>;

const std::string kWeights = R"(
weight @line: f32[1, 1, 3] = [1.0, 2.0, 3.0]
weight @two: f32[2, 1, 3] = [1.0, 2.0, 3.0, -1.0, 0.5, 4.0]
weight @square: f32[1, 2, 3, 3] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, -1.0, 0.5, 0.25, 2.0, 1.5, 1.0, 2.5, -2.0, 3.5]
)";

// The convolution that is returned first, after the pass.
struct Cropped {
  Numbers pads, kernel, dims;
};
Cropped cropped(const std::string& graph) {
  const auto model = lossless("crop-kernels", kWeights + graph);
  const auto& node = model.graph.node(model.graph.value(model.graph.outputs()[0]).producer);
  return {node.integers("pads"), node.integers("kernel_shape"),
          model.weight(model.graph.value(node.inputs[1]).weight).dims};
}

std::int64_t changes(const std::string& graph) {
  const PassRun run = run_pass("crop-kernels", kWeights + graph);
  CHECK(run.error.empty());
  return run.report.passes.at(0).changes;
}

}  // namespace

TEST_CASE("crop-kernels drops taps that lie in the padding at every place") {
  const Cropped both = cropped(R"(graph main(%x: f32[n, 2, 4, 5]) {
  %y = Conv(%x, @square) {pads = [6, 5, 6, 5], dilations = [6, 5], kernel_shape = [3, 3]}
  return %y
})");
  CHECK(both.pads == Numbers{0, 0, 0, 0});
  CHECK(both.kernel == Numbers{1, 1});
  CHECK(both.dims == Numbers{1, 2, 1, 1});
  // Rows alone: the columns' outer taps see the rim of the image.
  const Cropped rows = cropped(R"(graph main(%x: f32[n, 2, 4, 5]) {
  %y = Conv(%x, @square) {pads = [4, 4, 4, 4], dilations = [4, 4]}
  return %y
})");
  CHECK(rows.pads == Numbers{0, 4, 0, 4});
  CHECK(rows.dims == Numbers{1, 2, 1, 3});
}

TEST_CASE("crop-kernels tells the sides apart") {
  const Cropped before = cropped(R"(graph main(%x: f32[n, 1, 4]) {
  %y = Conv(%x, @line) {pads = [6, 1], dilations = [3], strides = [3]}
  return %y
})");
  CHECK(before.pads == Numbers{3, 1});
  CHECK(before.dims == Numbers{1, 1, 2});
  const Cropped after = cropped(R"(graph main(%x: f32[n, 2, 4]) {
  %y = Conv(%x, @two) {pads = [1, 9], dilations = [5], group = 2}
  return %y
})");
  CHECK(after.pads == Numbers{1, 4});
  CHECK(after.dims == Numbers{2, 1, 2});
}

TEST_CASE("crop-kernels leaves taps that are seen, and weights that others read") {
  CHECK(changes(R"(graph main(%x: f32[n, 1, 4]) {
  %y = Conv(%x, @line) {pads = [3, 3], dilations = [3]}
  return %y
})") == 0);
  CHECK(changes(R"(graph main(%x: f32[n, 1, w]) {
  %y = Conv(%x, @line) {pads = [9, 9], dilations = [9]}
  return %y
})") == 0);
  CHECK(changes(R"(graph main(%x: f32[n, 1, 4]) {
  %y = Conv(%x, @line) {pads = [4, 4], dilations = [4]}
  %z = Conv(%x, @line) {pads = [1, 1]}
  return %y, %z
})") == 0);
}

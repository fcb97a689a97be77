// A model written as ONNX and read back is the same model.

#include "formats/all.h"
#include "unit/catch.h"
#include "unit/ir/parsed.h"
#include "unit/support/scratch_folder.h"

namespace thimble {
namespace {

constexpr const char* kText = R"(model {format = "onnx"}
weight @bias: f32[3] parameters 3 = [0.5, -1.0, 2.0]
graph main(%x: f32[batch, 3]) {
  %sum: f32[batch, 3] = Add(%x, @bias)
  %y: f32[batch, 3] = Softmax(%sum) {axis = -1}  // head
  return %y
}
)";

std::string through_file(const ir::Model& model, std::uint64_t threshold) {
  const ScratchFolder folder;
  const std::string path = folder.path("m.onnx");
  ThreadPool pool(1);
  Progress quiet(Progress::Style::kQuiet);
  formats::Target target{"onnx", ""};
  target.external_threshold = threshold;
  const Status written = formats::write_model(model, path, target, pool, quiet);
  if (!written) FAIL(written.error().to_string());
  const auto read = formats::read_model(path, {});
  if (!read) FAIL(read.error().to_string());
  std::string text = ir::print(*read);
  CHECK(read->metadata.at("onnx.opset") == "13");
  return text;
}

}  // namespace

TEST_CASE("a graph written as ONNX reads back as the same text", "[onnx]") {
  const ir::Model model = test::parsed(kText);
  CHECK(through_file(model, 1 << 20) == ir::print(model));
  CHECK(through_file(model, 0) == ir::print(model));
}

}  // namespace thimble

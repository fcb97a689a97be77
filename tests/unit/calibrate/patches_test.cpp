#include "calibrate/patches.h"

#include <cmath>

#include "ir/model.h"
#include "lower/lower.h"
#include "unit/catch.h"
#include "unit/ir/parsed.h"

namespace thimble::calibrate {
namespace {

float number(std::size_t i) { return static_cast<float>(static_cast<int>(i * 37 % 101) - 50) / 50; }

std::string weight_text(std::size_t count) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i)
    text += (i > 0 ? ", " : "") + std::to_string(number(i + 3));
  return text;
}

struct Case {
  std::string image, weight;  // dims as text
  std::vector<std::int64_t> dims;
  std::size_t weights;
  std::string attributes;
};

// The convolution's own result against its weight times the patches.
void check(const Case& c) {
  INFO(c.weight << c.attributes);
  const ir::Model model = test::inferred(
      "weight @w: f32[" + c.weight + "] = [" + weight_text(c.weights) + "]\ngraph main(%x: f32[" +
      c.image + "]) {\n  %y = Conv(%x, @w)" + c.attributes + "\n  return %y\n}");
  std::int64_t count = 1;
  for (const std::int64_t dim : c.dims) count *= dim;
  std::vector<float> x;
  for (std::int64_t i = 0; i < count; ++i) x.push_back(number(static_cast<std::size_t>(i)));
  const runtime::TensorView image{program::Type::kF32, c.dims, x.data()};
  ThreadPool pool(1);
  const auto bundle = lower::load(model, pool);
  REQUIRE(bundle);
  const auto session = runtime::Session::create(*bundle, pool);
  REQUIRE(session);
  REQUIRE((*session)->run({{image}}));
  const runtime::TensorView& y = (*session)->outputs().front();
  const auto* expected = static_cast<const float*>(y.data);

  const ir::NodeId node = model.graph.order().front();
  const auto convolution = ir::match_convolution(model, node);
  REQUIRE(convolution);
  const Patches patches = Patches::of(model, node, *convolution);
  REQUIRE(patches.width() == convolution->inputs);
  const auto w = ir::read_floats(model.weight(convolution->weight));
  REQUIRE(w);
  const std::int64_t positions = y.count() / y.dims[0] / y.dims[1];
  const std::int64_t outputs = convolution->outputs / patches.groups;
  for (std::int64_t group = 0; group < patches.groups; ++group) {
    std::vector<float> rows;
    REQUIRE(each_patch(patches, image, group, [&](std::span<const float> some) {
      rows.insert(rows.end(), some.begin(), some.end());
    }));
    REQUIRE(std::ssize(rows) == y.dims[0] * positions * patches.width());
    for (std::int64_t r = 0; r < y.dims[0] * positions; ++r) {
      for (std::int64_t o = group * outputs; o < (group + 1) * outputs; ++o) {
        double sum = 0;
        for (std::int64_t k = 0; k < patches.width(); ++k) {
          sum += static_cast<double>(rows[static_cast<std::size_t>(r * patches.width() + k)]) *
                 (*w)[static_cast<std::size_t>(o * patches.width() + k)];
        }
        const std::int64_t at = (r / positions * y.dims[1] + o) * positions + r % positions;
        CHECK(std::fabs(expected[at] - sum) < 1e-4);
      }
    }
  }
}

}  // namespace

TEST_CASE("a convolution is its weight times its patches") {
  const std::vector<std::int64_t> square = {2, 4, 7, 6};
  for (const char* attributes :
       {"", " {strides = [2, 1], pads = [1, 0, 2, 3]}",
        " {dilations = [2, 2], pads = [2, 2, 2, 2]}",
        " {auto_pad = \"SAME_UPPER\", strides = [2, 2]}",
        " {auto_pad = \"SAME_LOWER\", strides = [3, 2]}", " {auto_pad = \"VALID\"}"}) {
    check({"2, 4, 7, 6", "3, 4, 3, 2", square, 72, attributes});
  }
  check({"2, 4, 7, 6", "6, 2, 2, 2", square, 48, " {group = 2, pads = [1, 1, 1, 1]}"});
  check({"2, 4, 7, 6", "4, 1, 3, 3", square, 36, " {group = 4, strides = [2, 2]}"});
  check({"2, 4, 7, 6", "5, 4, 1, 1", square, 20, ""});
  check({"1, 3, 11", "4, 3, 5", {1, 3, 11}, 60, " {pads = [2, 2], strides = [2]}"});
  check({"1, 2, 3, 4, 5", "2, 2, 2, 3, 2", {1, 2, 3, 4, 5}, 48, " {pads = [0, 1, 0, 1, 0, 1]}"});
}

TEST_CASE("an image of another shape is refused") {
  Patches patches;
  patches.channels = 3;
  patches.kernel = {3, 3};
  const float x[4] = {};
  const auto ignore = [](std::span<const float>) {};
  CHECK_FALSE(each_patch(patches, {program::Type::kF32, {1, 1, 2, 2}, x}, 0, ignore));
  CHECK_FALSE(each_patch(patches, {program::Type::kF32, {1, 3, 1}, x}, 0, ignore));
}

}  // namespace thimble::calibrate

#include <cstring>
#include <memory>

#include "calibrate/calibration.h"
#include "ir/model.h"
#include "unit/passes/run_pass.h"

using namespace thimble;
using namespace thimble::test;

namespace {

// Calibrated on one sample: x rises from -1 to 1.
PassRun quantize_activations(const std::string& text, std::vector<std::int64_t> dims) {
  PassRun run;
  run.model = inferred(text);
  std::int64_t count = 1;
  for (const std::int64_t dim : dims) count *= dim;
  auto bytes = std::make_shared<std::vector<std::byte>>(static_cast<std::size_t>(count) * 4);
  for (std::int64_t i = 0; i < count; ++i) {
    const float x = 2 * static_cast<float>(i) / static_cast<float>(count - 1) - 1;
    std::memcpy(bytes->data() + 4 * i, &x, 4);
  }
  const calibrate::Held input{program::Type::kF32, std::move(dims), bytes};
  calibrate::Calibration calibration({{{"x", input}}});
  ThreadPool pool(1);
  Progress progress(Progress::Style::kQuiet);
  pass::Context context{pool, progress};
  context.calibration = &calibration;
  std::vector<pass::Step> steps;
  for (const char* name : {"quantize-weights", "quantize-activations"}) {
    const pass::Registration* registration = passes::find(name);
    const auto options =
        pass::Options::check(registration->info.options,
                             name == std::string("quantize-weights")
                                 ? map({{"bits", number(8)}, {"group_size", word("channel")}})
                                 : map({{"method", word("minmax")}}));
    REQUIRE(options);
    steps.push_back({registration, *options});
  }
  const Status status = pass::run_passes(run.model, steps, context, {}, run.report);
  if (!status) run.error = status.error().to_string();
  return run;
}

const ir::Value& named(const PassRun& run, const std::string& name) {
  const auto id = run.model.graph.find_value(name);
  REQUIRE(id);
  return run.model.graph.value(*id);
}

bool has_scale(const PassRun& run, const std::string& name) {
  return named(run, name).activation == ir::ActivationScheme::kStatic;
}

// The second channel of a convolution's result is the first's negative.
constexpr const char* kBlock = R"(weight @w: f32[2, 2, 1, 1] = [2.0, -1.0, -2.0, 1.0]
graph main(%x: f32[1, 2, 4, 4]) {
  %a = Conv(%x, @w)
  %r = Relu(%a)
  %p = MaxPool(%r) {kernel_shape = [2, 2], strides = [2, 2]}
  %b = Conv(%p, @w)
  %s = Add(%b, %p)
  %t = Tanh(%s)
  %f = Flatten(%s)
  %e = Exp(%f)
  return %t, %e
})";

}  // namespace

TEST_CASE("results between quantized convolutions get scales, a Relu's from zero") {
  const PassRun run = quantize_activations(kBlock, {1, 2, 4, 4});
  REQUIRE(run.error.empty());
  for (const char* name : {"x", "r", "p", "b", "s"}) {
    INFO(name);
    CHECK(has_scale(run, name));
  }
  CHECK_FALSE(has_scale(run, "a"));  // the Relu's result stands for it
  CHECK_FALSE(has_scale(run, "t"));  // an output
  CHECK_FALSE(has_scale(run, "f"));  // nothing works on its codes
  CHECK(named(run, "r").static_scale.zero == -127);
  CHECK(named(run, "b").static_scale.zero > -127);
}

TEST_CASE("values that are only moved share a scale that covers them all") {
  const PassRun run = quantize_activations(kBlock, {1, 2, 4, 4});
  REQUIRE(run.error.empty());
  CHECK(named(run, "p").static_scale == named(run, "r").static_scale);

  const PassRun joined = quantize_activations(R"(weight @w: f32[2, 2, 1, 1] = [2.0, 0.0, -2.0, 0.0]
weight @v: f32[1, 2, 1, 1] = [8.0, 0.0]
weight @u: f32[1, 5, 1, 1] = [1.0, 1.0, 1.0, 1.0, 1.0]
graph main(%x: f32[1, 2, 4, 4]) {
  %a = Conv(%x, @w)
  %b = Conv(%x, @v)
  %c = Conv(%x, @w)
  %j = Concat(%a, %b, %c) {axis = 1}
  %y = Conv(%j, @u)
  %z = Tanh(%c)
  return %y, %z
})",
                                              {1, 2, 4, 4});
  REQUIRE(joined.error.empty());
  CHECK(named(joined, "a").static_scale == named(joined, "j").static_scale);
  CHECK(named(joined, "b").static_scale == named(joined, "j").static_scale);
  // It has another reader, which gets its own, finer scale.
  CHECK(named(joined, "c").static_scale.scale < named(joined, "j").static_scale.scale);
}

TEST_CASE("what a convolution in floats reads gets no scale by way of another one") {
  const PassRun run = quantize_activations(R"(weight @w: f32[2, 2, 1, 1] = [2.0, 0.0, -2.0, 0.0]
graph main(%x: f32[1, 2, 4, 4]) {
  %t = Tanh(%x)
  %a = MaxPool(%t) {kernel_shape = [2, 2], strides = [2, 2]}
  %y = Conv(%a, @w)
  %q = Relu(%t)
  return %y, %q
})",
                                           {1, 2, 4, 4});
  REQUIRE(run.error.empty());
  CHECK(has_scale(run, "a"));
  CHECK_FALSE(has_scale(run, "t"));
  CHECK_FALSE(has_scale(run, "q"));
}

#include "unit/passes/tiny_models.h"

using namespace thimble;
using namespace thimble::test;

namespace {

pass::OptionValue real(double value) { return {value, {}}; }

std::string kept_why(const PassRun& run, const std::string& tensor) {
  for (const auto& decision : run.report.passes.at(0).decisions) {
    if (decision.tensor == tensor && decision.kept) return decision.why;
  }
  return {};
}

// A calibration of its own, for graphs that were parsed.
PassRun smooth(const std::string& text, const std::vector<float>& x, double alpha) {
  PassRun run;
  run.model = *ir::parse(text);
  REQUIRE(ir::infer_shapes(run.model));
  const auto* bytes = reinterpret_cast<const std::byte*>(x.data());
  const calibrate::Held input{
      program::Type::kF32,
      {static_cast<std::int64_t>(x.size()) / 2, 2},
      std::make_shared<const std::vector<std::byte>>(bytes, bytes + x.size() * 4)};
  calibrate::Calibration calibration({{{"x", input}}});
  const pass::Registration* registration = passes::find("smooth");
  const auto options =
      pass::Options::check(registration->info.options, map({{"alpha", real(alpha)}}));
  REQUIRE(options);
  ThreadPool pool(1);
  Progress progress(Progress::Style::kQuiet);
  pass::Context context{pool, progress};
  context.calibration = &calibration;
  const pass::Step step{registration, *options};
  const Status status = pass::run_passes(run.model, {&step, 1}, context, {}, run.report);
  if (!status) run.error = status.error().to_string();
  return run;
}

std::vector<float> values(const PassRun& run, std::uint32_t weight) {
  const auto read = ir::read_floats(run.model.weight(ir::WeightId{weight}));
  REQUIRE(read);
  return *read;
}

constexpr const char* kSmall = R"(weight @gain: f32[2] = [1.0, 3.0]
weight @w: f32[2, 2] = [1.0, -4.0, 0.5, 1.0]
graph main(%x: f32[n, 2]) {
  %h = RMSNormalization(%x, @gain) {axis = -1, epsilon = 0.0}
  %y = Gemm(%h, @w) {transB = 1}
  return %y
})";

}  // namespace

TEST_CASE("smooth leaves every architecture's outputs as they are") {
  for (const std::string& name : tiny_models()) {
    DYNAMIC_SECTION(name) {
      const ir::Model model = read_tiny(name);
      const std::vector<float> before = outputs_of(model);
      const PassRun run = run_on(model, {{"smooth", map({{"alpha", real(0.8)}})}});
      REQUIRE(run.error == "");
      CHECK(difference(outputs_of(run.model), before) <= 1e-4);
      // Encoders' norms feed sums too: there, attention's values alone absorb.
      const std::size_t products = ir::quantizable_weights(model).size();
      CHECK(count_decisions(run, 0, false) >= (model.task == ir::Task::kEmbed ? 2 : products / 3));
    }
  }
}

TEST_CASE("smooth's factors are those of equation 4") {
  // The norm gives (sqrt 2, 0) for (1, 0) and (0, 3 sqrt 2) for (0, 1).
  const PassRun run = smooth(kSmall, {1, 0, 0, 1}, 0.5);
  REQUIRE(run.error == "");
  const double a = std::sqrt(std::sqrt(2.0) / 1), b = std::sqrt(3 * std::sqrt(2.0) / 4);
  const std::vector<float> gain = values(run, 0), w = values(run, 1);
  CHECK(gain[0] == Approx(1 / a));
  CHECK(gain[1] == Approx(3 / b));
  CHECK(w[0] == Approx(a));
  CHECK(w[1] == Approx(-4 * b));
  CHECK(w[2] == Approx(0.5 * a));
  CHECK(w[3] == Approx(b));
}

TEST_CASE("smooth names dead channels, weights and activations that aren't finite") {
  const PassRun dead = smooth(kSmall, {1, 0, 2, 0}, 0.5);
  REQUIRE(dead.error == "");
  REQUIRE(dead.report.passes[0].findings.size() == 1);
  CHECK(dead.report.passes[0].findings[0].kind == pass::FindingKind::kDeadChannel);
  CHECK(dead.report.passes[0].findings[0].count == 1);
  CHECK(dead.report.passes[0].findings[0].to_string() ==
        "'h': 1 channels are dead (inputs or weights all 0); theirs keep scale 1");
  CHECK(values(dead, 0)[1] == 3.0f);
  std::string text = kSmall;
  text.replace(text.find("-4.0"), 4, " nan");
  CHECK(smooth(text, {1, 0, 0, 1}, 0.5).error.find("a weight is not finite (tensor 'w')") !=
        std::string::npos);
  CHECK(smooth(kSmall, {1, INFINITY, 0, 1}, 0.5).error.find("not finite") != std::string::npos);
}

TEST_CASE("smooth says what it cannot scale, and copies a gain that others read") {
  const PassRun bert = run_on(read_tiny("oracle/bert"), {{"smooth"}});
  CHECK(kept_why(bert, "encoder.layer.0.output.dense.weight") ==
        "not scaled: a Gelu lies before it");
  CHECK(kept_why(bert, "encoder.layer.0.attention.self.query.weight") ==
        "not scaled: 'embeddings.LayerNorm.LayerNormalization' has readers that aren't products");
  const PassRun tied = run_on(read_tiny("oracle/llama-tied"), {{"smooth"}});
  CHECK(kept_why(tied, "model.embed_tokens.weight") ==
        "not scaled: 'model.embed_tokens.weight' is shared");
  const PassRun twice = smooth(R"(weight @gain: f32[2] = [1.0, 3.0]
weight @w: f32[2, 2] = [1.0, -4.0, 0.5, 1.0]
graph main(%x: f32[n, 2]) {
  %h = RMSNormalization(%x, @gain) {axis = -1, epsilon = 0.0}
  %y = Gemm(%h, @w) {transB = 1}
  %z = RMSNormalization(%x, @gain) {axis = -1, epsilon = 0.0}
  return %y, %z
})",
                               {1, 0, 0, 1}, 0.5);
  REQUIRE(twice.error == "");
  CHECK(values(twice, 0) == std::vector<float>{1, 3});
  CHECK(values(twice, 2)[0] == Approx(1 / std::sqrt(std::sqrt(2.0))));
}

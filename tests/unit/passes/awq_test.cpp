
#include "unit/passes/tiny_models.h"
#include "unit/support/scratch_folder.h"

using namespace thimble;
using namespace thimble::test;

namespace {

pass::OptionValue boolean(bool value) { return {value, {}}; }

PassOn awq(bool clip, pass::OptionValue group_size) {
  return {"awq", map({{"bits", number(3)},
                      {"group_size", std::move(group_size)},
                      {"search", word("absmax")},
                      {"clip", boolean(clip)}})};
}

const PassOn kAwq = awq(false, word("channel"));
const PassOn kRound{"quantize-weights",
                    map({{"bits", number(3)},
                         {"group_size", word("channel")},
                         {"search", word("absmax")},
                         {"activations", word("float")},
                         {"only", map({{"role", list({word("attention"), word("mlp")})}})}})};

double squared_error(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return sum;
}

}  // namespace

TEST_CASE("awq leaves every architecture's outputs as they are") {
  for (const std::string& name : tiny_models()) {
    DYNAMIC_SECTION(name) {
      const ir::Model model = read_tiny(name);
      const std::vector<float> before = outputs_of(model);
      const PassRun run = run_on(model, {kAwq});
      REQUIRE(run.error == "");
      CHECK(difference(outputs_of(run.model), before) <= 1e-4);
      CHECK(count_decisions(run, 0, false) >= 2);
      for (const auto& decision : run.report.passes[0].decisions) {
        if (decision.kept) continue;
        REQUIRE(decision.output_error.has_value());
        CHECK(*decision.output_error <= *decision.rounding_output_error);
      }
    }
  }
}

TEST_CASE("weights that awq scaled lose less by rounding") {
  const ir::Model model = read_tiny("fable");
  const std::vector<float> before = outputs_of(model);
  const PassRun rounded = run_on(model, {kRound});
  const PassRun scaled = run_on(model, {kAwq, kRound});
  REQUIRE(scaled.error == "");
  CHECK(squared_error(outputs_of(scaled.model), before) <
        0.9 * squared_error(outputs_of(rounded.model), before));
}

TEST_CASE("awq gives the same bytes for any threads, and from its journal") {
  const ir::Model model = read_tiny("oracle/mistral");
  const ScratchFolder folder;
  const auto codes = [&](const PassRun& run) {
    std::vector<float> all;
    for (const auto& use : ir::quantizable_weights(run.model)) {
      const auto values = ir::read_floats(run.model.weight(use.weight));
      REQUIRE(values);
      all.insert(all.end(), values->begin(), values->end());
    }
    return all;
  };
  const PassOn cut = awq(true, number(32));
  const auto one = codes(run_on(model, {cut}, 1));
  CHECK(codes(run_on(model, {cut}, 5)) == one);
  CHECK(codes(run_on(model, {awq(false, number(32))})) != one);
  for (int time = 0; time < 2; ++time) {
    auto journal = calibrate::Journal::open(folder.path(), "f");
    REQUIRE(journal);
    const PassRun run = run_on(model, {cut}, 2, *std::move(journal));
    REQUIRE(run.error == "");
    CHECK(codes(run) == one);
    CHECK(std::distance(fs::directory_iterator(folder.path()), {}) > 4);
  }
}

TEST_CASE("awq refuses what it cannot do without") {
  const std::string text = R"(weight @gain: f32[32]
weight @w: f32[2, 32]
graph main(%x: f32[n, 32]) {
  %h = RMSNormalization(%x, @gain) {axis = -1}
  %y = Gemm(%h, @w) {transB = 1}
  return %y
})";
  CHECK(run_pass("awq", text, map({}), false).error == "the pass 'awq' needs a calibration");
  const PassRun nothing = run_pass("awq", R"(weight @w: f32[2, 32]
graph main(%x: f32[n, 32]) {
  %y = Gemm(%x, @w) {transB = 1}
  return %y
})");
  CHECK(nothing.error.empty());
  CHECK(findings_of(nothing, 0) == Texts{"no product's inputs were scaled"});
  CHECK(nothing.report.passes[0].decisions[0].why == "not scaled: its input comes from outside");
}

#include "unit/passes/tiny_models.h"

using namespace thimble;
using namespace thimble::test;

namespace {

double error_of(const ir::Model& model, const std::string& name) {
  const ir::Weight& weight = model.weight(model.graph.value(*model.graph.find_value(name)).weight);
  REQUIRE(ir::read_floats(weight));
  REQUIRE(weight.source->relative_error());
  return *weight.source->relative_error();
}

}  // namespace

TEST_CASE("hqq: text in, text out") {
  const PassRun run = run_pass("hqq", R"(
weight @a.weight: bf16[8, 64] parameters 512
weight @b.weight: f32[64, 8]
graph main(%x: f32[n, 64]) {
  %t = Transpose(@a.weight) {perm = [1, 0]}
  %y = MatMul(%x, %t)
  %w = MatMul(%x, @b.weight)
  return %y, %w
})",
                               map({{"bits", number(3)}, {"group_size", word("channel")}}));
  CHECK(run.error.empty());
  CHECK(ir::print(run.model) ==
        R"(weight @a.weight: bf16[8, 64] as uint3 per-channel minima f16 parameters 512
weight @b.weight: f32[64, 8] as uint3 per-channel minima f16 axis 0
graph main(%x: f32[n, 64] as int8) {
  %t: f32[64, 8] = Transpose(@a.weight) {perm = [1, 0]}
  %y: f32[n, 8] = MatMul(%x, %t)
  %w: f32[n, 8] = MatMul(%x, @b.weight)
  return %y, %w
}
)");
}

TEST_CASE("hqq's models run, along either axis, at every width of a code") {
  for (const char* name : {"oracle/gpt2", "oracle/llama"}) {
    const ir::Model model = read_tiny(name);
    const auto before = outputs_of(model);
    double last = 1e9;
    for (const int bits : {3, 5, 8}) {
      const PassRun run = run_on(model, {{"hqq", map({{"bits", number(bits)},
                                                      {"group_size", number(16)},
                                                      {"activations", word("float")}})}});
      REQUIRE(run.error == "");
      const double error = difference(outputs_of(run.model), before);
      CHECK(error < 0.7 * last);
      last = error;
    }
    CHECK(last < 0.08);
  }
}

TEST_CASE("hqq knows its errors, and leaves what is quantized alone") {
  const ir::Model model = read_tiny("fable");
  const PassOn hqq{"hqq", map({{"bits", number(4)}})};
  const PassRun run = run_on(model, {hqq, hqq});
  REQUIRE(run.error == "");
  CHECK(error_of(run.model, "model.layers.1.mlp.up_proj.weight") < 0.02);
  CHECK(count_decisions(run, 0, false) > 20);
  CHECK(count_decisions(run, 1, false) == 0);
  CHECK(run.report.passes[1].decisions[0].why == "quantized already");
  CHECK(findings_of(run, 1) == Texts{"no weight was quantized"});
}


#include "unit/passes/run_pass.h"

using namespace thimble;
using namespace thimble::test;

namespace {

constexpr const char* kModel = R"(
weight @model.embed_tokens.weight: bf16[100, 64]
weight @model.layers.0.self_attn.q_proj.weight: bf16[64, 64]
weight @model.layers.0.mlp.up_proj.weight: f32[96, 64]
weight @model.layers.1.mlp.up_proj.weight: f32[64, 96]
weight @model.norm.weight: f32[64]
graph main(%ids: i64[batch, seq]) {
  %h = Gather(@model.embed_tokens.weight, %ids)
  %qt = Transpose(@model.layers.0.self_attn.q_proj.weight) {perm = [1, 0]}
  %q = MatMul(%h, %qt)
  %ut = Transpose(@model.layers.0.mlp.up_proj.weight) {perm = [1, 0]}
  %u = MatMul(%h, %ut)
  %vt = Transpose(@model.layers.1.mlp.up_proj.weight) {perm = [1, 0]}
  %v = MatMul(%u, %vt)
  %n = RMSNormalization(%v, @model.norm.weight)
  %et = Transpose(@model.embed_tokens.weight) {perm = [1, 0]}
  %y = MatMul(%n, %et)
  return %q, %y
})";

std::vector<std::string> schemes(const PassRun& run) {
  std::vector<std::string> out;
  for (const auto& d : run.report.passes.at(0).decisions) {
    out.push_back(d.tensor + ": " + d.scheme + " (" + d.why + ")");
  }
  return out;
}

constexpr const char* kShared = R"(
weight @a.weight: bf16[8, 64] parameters 512
weight @b.weight: f32[64, 8]
weight @bias: f32[8]
graph main(%x: f32[n, 64]) {
  %t = Transpose(@a.weight) {perm = [1, 0]}
  %y = MatMul(%x, %t)
  %z = Add(%y, @bias)
  %w = MatMul(%x, @b.weight)
  return %z, %w
})";

}  // namespace

TEST_CASE("quantize-weights: text in, text out") {
  const PassRun run = run_pass("quantize-weights", kShared);
  CHECK(run.error.empty());
  CHECK(ir::print(run.model) ==
        R"(weight @a.weight: bf16[8, 64] as int4 group 32 symmetric f16 parameters 512
weight @b.weight: f32[64, 8] as int4 group 32 symmetric f16 axis 0
weight @bias: f32[8]
graph main(%x: f32[n, 64] as int8) {
  %t: f32[64, 8] = Transpose(@a.weight) {perm = [1, 0]}
  %y: f32[n, 8] = MatMul(%x, %t)
  %z: f32[n, 8] = Add(%y, @bias)
  %w: f32[n, 8] = MatMul(%x, @b.weight)
  return %z, %w
}
)");
}

TEST_CASE("quantize-weights: the first rule that matches counts, and says so") {
  const PassRun run = run_pass(
      "quantize-weights", kModel,
      map({{"bits", number(3)},
           {"rules",
            list({map({{"role", word("embedding")},
                       {"bits", number(8)},
                       {"group_size", word("channel")}}),
                  map({{"name", word("*.q_proj.*")}, {"skip", flag(true)}}),
                  map({{"last", number(1)}, {"symmetric", flag(false)}, {"scale", word("f32")}}),
                  map({{"role", word("mlp")},
                       {"bits", number(5)},
                       {"activations", word("int16")}})})}}));
  REQUIRE(run.error.empty());
  CHECK(schemes(run) ==
        std::vector<std::string>{
            "model.embed_tokens.weight: int8 per-channel symmetric f16 (rule 1 (role: embedding))",
            "model.layers.0.self_attn.q_proj.weight: bf16 (skipped by rule 2 (name: *.q_proj.*))",
            "model.layers.0.mlp.up_proj.weight: int5 group 32 symmetric f16 (rule 4 (role: mlp))",
            "model.layers.1.mlp.up_proj.weight: uint3 group 32 points f32 (rule 3 (last: 1))"});
  const auto& decisions = run.report.passes[0].decisions;
  CHECK(decisions[0].bits_per_weight == Approx(8 + 16.0 / 64));
  CHECK(decisions[3].bits_per_weight == Approx(3 + 35.0 / 32));
  CHECK(decisions[2].parameters == 96 * 64);
  CHECK(findings_of(run, 0).empty());
  const ir::Graph& g = run.model.graph;
  CHECK(g.value(*g.find_value("h")).activation == ir::ActivationScheme::kInt16);
  CHECK(g.value(*g.find_value("u")).activation == ir::ActivationScheme::kInt8);
  CHECK(g.value(*g.find_value("y")).activation == ir::ActivationScheme::kFloat);
}

TEST_CASE("quantize-weights: of two products' activations the finer counts") {
  const auto scheme_of_y = [](const char* first, const char* second) {
    const PassRun run = run_pass(
        "quantize-weights", kShared,
        map({{"rules", list({map({{"name", word("a.*")}, {"activations", word(first)}}),
                             map({{"name", word("b.*")}, {"activations", word(second)}})})}}));
    return run.model.graph.value(*run.model.graph.find_value("x")).activation;
  };
  CHECK(scheme_of_y("int8-token", "int8-token") == ir::ActivationScheme::kInt8Token);
  CHECK(scheme_of_y("int8-token", "int8") == ir::ActivationScheme::kInt8);
  CHECK(scheme_of_y("int16", "int8-token") == ir::ActivationScheme::kInt16);
  CHECK(scheme_of_y("int8-token", "float") == ir::ActivationScheme::kFloat);
}

TEST_CASE("quantize-weights: only what is selected, and twice is not again") {
  const PassRun run =
      run_pass("quantize-weights", kModel, map({{"only", map({{"role", word("mlp")}})}}));
  CHECK(schemes(run).size() == 2);
  const PassRun again =
      run_pass("quantize-weights", ir::print(run.model), map({{"bits", number(8)}}));
  CHECK(schemes(again).size() == 4);  // two are new, two stay on their grid
  CHECK(again.model.weight(ir::WeightId{2}).encoding.bits == 4);
  CHECK(again.model.weight(ir::WeightId{0}).encoding.bits == 8);
}

TEST_CASE("quantize-weights: a rule without a weight is a warning") {
  const PassRun run =
      run_pass("quantize-weights", kModel,
               map({{"rules", list({map({{"role", word("lm_head")}, {"bits", number(8)}})})}}));
  REQUIRE(findings_of(run, 0).size() == 1);
  CHECK(findings_of(run, 0)[0] == "rule 1 (role: lm_head) applies to no weight");
}

TEST_CASE("quantize-weights refuses what cannot be") {
  CHECK(run_pass("quantize-weights", kModel, map({{"bits", number(9)}})).error.find("2..8") !=
        std::string::npos);
  CHECK(run_pass("quantize-weights", kModel, map({{"group_size", number(48)}}))
            .error.find("it can be 16, 32") != std::string::npos);
  CHECK(run_pass("quantize-weights", kModel,
                 map({{"rules", list({map({{"role", word("mlp")}, {"group_size", number(40)}})})}}))
            .error.find("it can be 16, 32") != std::string::npos);
}

TEST_CASE("quantize-weights: values come out near what went in, and their error is known") {
  std::string values;
  for (int i = 0; i < 64; ++i)
    values += (i > 0 ? ", " : "") + std::to_string((i * 37 % 64 - 31) * 0.01);
  PassRun run = run_pass(
      "quantize-weights",
      "weight @w: f32[2, 32] = [" + values +
          "]\ngraph main(%x: f32[n, 32]) {\n  %y = Gemm(%x, @w) {transB = 1}\n  return %y\n}",
      map({{"bits", number(8)}}));
  REQUIRE(run.error.empty());
  const ir::Weight& w = run.model.weight(ir::WeightId{0});
  CHECK_FALSE(w.source->relative_error().has_value());
  const auto decoded = ir::read_floats(w);
  REQUIRE(decoded.has_value());
  for (int i = 0; i < 64; ++i) {
    CHECK((*decoded)[static_cast<std::size_t>(i)] ==
          Approx((i * 37 % 64 - 31) * 0.01).margin(0.002));
  }
  REQUIRE(w.source->relative_error().has_value());
  CHECK(*w.source->relative_error() > 0);
  CHECK(*w.source->relative_error() < 1e-4);
}

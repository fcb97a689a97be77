#include "unit/passes/tiny_models.h"

using namespace thimble;
using namespace thimble::test;

namespace {

const pass::OptionValue kUntie = map({{"tied", word("untie")}});

std::vector<std::string> operators(const ir::Model& model) {
  std::vector<std::string> out;
  for (const ir::NodeId id : model.graph.order()) out.push_back(model.graph.node(id).op);
  return out;
}

bool has(const std::vector<std::string>& all, const std::string& one) {
  return std::find(all.begin(), all.end(), one) != all.end();
}

// The largest over the mean square: 1 when all are equal.
double peak(const ir::Model& model, const std::string& name) {
  const auto value = model.graph.find_value(name);
  REQUIRE(value);
  const auto w = ir::read_floats(model.weight(model.graph.value(*value).weight));
  REQUIRE(w);
  double sum = 0, most = 0;
  for (const float x : *w) {
    sum += static_cast<double>(x) * x;
    most = std::max(most, static_cast<double>(x) * x);
  }
  return most * static_cast<double>(w->size()) / sum;
}

}  // namespace

TEST_CASE("rotate leaves every architecture's outputs as they are") {
  for (const std::string& name : tiny_models()) {
    DYNAMIC_SECTION(name) {
      const ir::Model model = read_tiny(name);
      const std::vector<float> before = outputs_of(model);
      for (const pass::OptionValue& options : {map({}), kUntie, map({{"heads", flag(false)}})}) {
        const PassRun run = run_on(model, {{"rotate", options}});
        REQUIRE(run.error == "");
        CHECK(difference(outputs_of(run.model), before) <= 1e-4);
        const Texts found = findings_of(run, 0);
        if (model.task == ir::Task::kGenerate) {
          CHECK(found.empty());
          CHECK(count_decisions(run, 0, false) >= 4);
        } else {  // norms after each half of a layer: their results are the stream
          REQUIRE_FALSE(found.empty());
          CHECK(found[0].find("past which its gain cannot be folded") != std::string::npos);
        }
      }
    }
  }
}

TEST_CASE("rotate folds LayerNormalization's mean, gain and bias away") {
  const ir::Model model = read_tiny("oracle/gpt2");
  REQUIRE(has(operators(model), "LayerNormalization"));
  const PassRun run = run_on(model, {{"rotate", kUntie}});
  CHECK_FALSE(has(operators(run.model), "LayerNormalization"));
  CHECK_FALSE(has(operators(run.model), "ReduceMean"));  // no node centres
  const PassRun kept = run_on(model, {{"rotate"}});
  CHECK(has(operators(kept.model), "ReduceMean"));
}

TEST_CASE("rotate says what a tied embedding costs") {
  const ir::Model model = read_tiny("oracle/llama-tied");
  const auto why = [](const PassRun& run) {
    for (const auto& d : run.report.passes[0].decisions) {
      if (d.tensor == "model.embed_tokens.weight") return d.why;
    }
    return std::string();
  };
  const PassRun kept = run_on(model, {{"rotate"}});
  CHECK(why(kept).find("tied, so kept as it is; 2 rotations run as nodes (") == 0);
  CHECK(kept.model.weight_bytes() < model.weight_bytes() + 12000);
  const PassRun untied = run_on(model, {{"rotate", kUntie}});
  const auto table =
      model.weight(model.graph.value(*model.graph.find_value("model.embed_tokens.weight")).weight);
  CHECK(why(untied) ==
        "untied: " + std::to_string(table.element_count() * 4) + " bytes more in f32");
  CHECK(untied.model.graph.find_value("lm_head.weight"));
}

TEST_CASE("rotate spreads an outlier over its row") {
  ir::Model model = read_tiny("oracle/llama");
  const std::string name = "model.layers.0.mlp.up_proj.weight";
  ir::Weight& weight = model.weight(model.graph.value(*model.graph.find_value(name)).weight);
  auto values = ir::read_floats(weight);
  REQUIRE(values);
  for (std::size_t i = 5; i < values->size(); i += static_cast<std::size_t>(weight.inputs()))
    (*values)[i] *= 100;
  const std::uint64_t parameters = weight.source_parameters;
  weight = ir::make_dense(name, weight.dims, *values);
  weight.source_parameters = parameters;
  const double before = peak(model, name);
  const std::vector<float> outputs = outputs_of(model);
  const PassRun run = run_on(model, {{"rotate"}});
  CHECK(peak(run.model, name) < before / 4);
  CHECK(difference(outputs_of(run.model), outputs) <= 1e-4);
}

TEST_CASE("rotate composes with smooth, awq and gptq") {
  const ir::Model model = read_tiny("oracle/mistral");
  const auto before = outputs_of(model);
  const PassRun exact = run_on(model, {{"rotate"}, {"smooth"}, {"awq"}});
  REQUIRE(exact.error == "");
  CHECK(difference(outputs_of(exact.model), before) <= 1e-4);
  const PassOn gptq{"gptq", map({{"bits", number(8)}, {"activations", word("float")}})};
  const PassRun plain = run_on(model, {gptq});
  const PassRun coded = run_on(model, {{"rotate"}, gptq});
  REQUIRE(coded.error == "");
  CHECK(difference(outputs_of(coded.model), before) <=
        2 * difference(outputs_of(plain.model), before));
  CHECK(difference(outputs_of(coded.model), before) <= 0.1);
}

TEST_CASE("rotate names what keeps it from a stream") {
  const auto warning = [](const std::string& body) {
    const PassRun run = run_pass("rotate", R"(weight @table: f32[10, 16]
weight @gain: f32[16]
weight @w: f32[8, 16]
weight @odd: f32[16, 16]
graph main(%ids: i64[n]) {
  %x = Gather(@table, %ids)
)" + body + "\n}");
    REQUIRE(run.error == "");
    return run.report.passes[0].findings.empty() ? "" : findings_of(run, 0)[0];
  };
  const std::string head = "'x': the residual stream from it isn't rotated: ";
  const std::string norm = "  %h = RMSNormalization(%x, @gain) {axis = -1}  // norm\n";
  CHECK(warning(norm + "  %y = Gemm(%h, @w) {transB = 1}\n  return %y") == "");
  CHECK(warning(norm + "  %y = Gemm(%h, @w) {transB = 1}\n  return %y, %x") ==
        head + "'x' of it leaves the graph");
  CHECK(warning(norm + "  %y = Relu(%h)  // act\n  return %y") ==
        head +
            "the result of 'norm' (RMSNormalization) goes into 'act' (Relu), past which its gain "
            "cannot be folded");
  CHECK(warning("  %y = Tanh(%x)  // act\n  return %y") == head + "'act' (Tanh) reads it");
  CHECK(warning(norm + "  %y = Gemm(%h, @w) {transB = 1}\n  %z = Gemm(%h, @w) {transB = 1}\n"
                       "  return %y, %z") == head + "'w' is shared");
}

// gptq: codes of products' weights that lose least on a calibration.

#include <unistd.h>

#include "unit/passes/tiny_models.h"

using namespace thimble;
using namespace thimble::test;

namespace {

PassOn gptq(double asymmetry, bool sequential = true) {
  return {"gptq", map({{"bits", number(3)},
                       {"group_size", word("channel")},
                       {"activations", word("float")},
                       {"asymmetry", {asymmetry, {}}},
                       {"sequential", flag(sequential)},
                       {"only", map({{"role", list({word("attention"), word("mlp")})}})}})};
}

std::vector<float> first_weight(const ir::Model& model, int layer) {
  for (const ir::WeightUse& use : ir::quantizable_weights(model)) {
    if (use.layer != layer) continue;
    const auto values = ir::read_floats(model.weight(use.weight));
    REQUIRE(values);
    return *values;
  }
  FAIL("no such layer");
  return {};
}

}  // namespace

TEST_CASE("gptq with asymmetry changes what comes after a loss, and nothing before") {
  const ir::Model model = read_tiny("oracle/llama");
  const ir::Model plain = run_on(model, {gptq(0)}).model;
  const ir::Model all = run_on(model, {gptq(1)}).model;
  const ir::Model part = run_on(model, {gptq(0.25)}).model;
  CHECK(first_weight(all, 0) == first_weight(plain, 0));
  CHECK(first_weight(all, 1) != first_weight(plain, 1));
  CHECK(first_weight(all, 1) != first_weight(part, 1));
}

TEST_CASE("gptq with asymmetry gives the same bytes for any threads and from its journal") {
  const ir::Model model = read_tiny("oracle/qwen2");
  const fs::path folder =
      fs::temp_directory_path() / ("thimble-gptq-" + std::to_string(::getpid()));
  const auto plain = outputs_of(run_on(model, {gptq(0.5)}, 1).model);
  CHECK(outputs_of(run_on(model, {gptq(0.5)}, 5).model) == plain);
  for (int time = 0; time < 3; ++time) {
    auto journal = calibrate::Journal::open(folder.string(), "f");
    REQUIRE(journal);
    const PassRun run = run_on(model, {gptq(0.5)}, 2, *std::move(journal));
    REQUIRE(run.error == "");
    CHECK(outputs_of(run.model) == plain);
    // The next run finds every other weight done: some blocks whole, some in part.
    bool keep = false;
    for (const auto& entry : fs::directory_iterator(folder)) {
      if (entry.path().extension() == ".rows" && (keep = !keep)) fs::remove(entry.path());
    }
  }
  fs::remove_all(folder);
}

TEST_CASE("gptq refuses an asymmetry where nothing drifts") {
  const PassRun run = run_on(read_tiny("oracle/llama"), {gptq(1, false)});
  CHECK(run.error.find("'asymmetry' needs `sequential: true`") != std::string::npos);
}

// gptq: codes of products' and convolutions' weights that lose least on a calibration.

#include "unit/passes/tiny_models.h"
#include "unit/support/scratch_folder.h"

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

calibrate::Held floats(std::vector<std::int64_t> dims, const std::vector<float>& values) {
  const auto* bytes = reinterpret_cast<const std::byte*>(values.data());
  return {program::Type::kF32, std::move(dims),
          std::make_shared<const std::vector<std::byte>>(bytes, bytes + values.size() * 4)};
}

// A channel of a smooth image, so that neighbours are alike.
std::vector<float> channel(int which, int size) {
  std::vector<float> out;
  for (int i = 0; i < size; ++i) {
    for (int j = 0; j < size; ++j) {
      const int wave = (i * (which + 2) + j * 3 + which * 5) % 17;
      out.push_back(static_cast<float>(wave < 9 ? wave : 17 - wave) * 0.25f + 0.3f);
    }
  }
  return out;
}

std::vector<float> channels(int first, int count, int size) {
  std::vector<float> out;
  for (int c = first; c < first + count; ++c) {
    const std::vector<float> one = channel(c, size);
    out.insert(out.end(), one.begin(), one.end());
  }
  return out;
}

std::string numbers(int count) {
  std::string text;
  for (int i = 0; i < count; ++i)
    text += (i > 0 ? ", " : "") + std::to_string((i * 37 % 64 - 31) * 0.01);
  return text;
}

// gptq of the one product of a graph of one node, and its weight afterwards.
PassRun run_node(const std::string& weight, int weights, const std::string& input,
                 const std::string& node, const calibrate::Held& x) {
  const ir::Model model =
      inferred("weight @w: f32[" + weight + "] = [" + numbers(weights) + "]\ngraph main(%x: f32[" +
               input + "]) {\n  %y = " + node + "\n  return %y\n}");
  PassRun run = run_with(model, {{"gptq", map({{"bits", number(3)}})}}, {{{"x", x}}});
  REQUIRE(run.error == "");
  return run;
}

std::vector<float> weight_of(const PassRun& run) {
  const auto values = ir::read_floats(run.model.weight(ir::WeightId{0}));
  REQUIRE(values);
  return *values;
}

}  // namespace

TEST_CASE("gptq of a convolution loses less than rounding") {
  const auto run = run_node("6, 4, 3, 3", 216, "1, 4, 12, 12", "Conv(%x, @w) {pads = [1, 1, 1, 1]}",
                            floats({1, 4, 12, 12}, channels(0, 4, 12)));
  const auto& decision = run.report.passes[0].decisions.at(0);
  CHECK(*decision.output_error < 0.5 * *decision.rounding_output_error);
}

TEST_CASE("gptq of a pointwise convolution is that of the product") {
  const std::vector<float> image = channels(0, 32, 10);
  std::vector<float> rows(image.size());
  for (std::size_t i = 0; i < image.size(); ++i) rows[i % 100 * 32 + i / 100] = image[i];
  const auto conv =
      run_node("8, 32, 1, 1", 256, "1, 32, 10, 10", "Conv(%x, @w)", floats({1, 32, 10, 10}, image));
  const auto product =
      run_node("8, 32", 256, "100, 32", "Gemm(%x, @w) {transB = 1}", floats({100, 32}, rows));
  CHECK(weight_of(conv) == weight_of(product));
}

TEST_CASE("gptq takes the groups of a convolution one by one") {
  const auto both = run_node("4, 2, 3, 3", 72, "1, 4, 12, 12", "Conv(%x, @w) {group = 2}",
                             floats({1, 4, 12, 12}, channels(0, 4, 12)));
  const auto first = run_node("2, 2, 3, 3", 36, "1, 2, 12, 12", "Conv(%x, @w)",
                              floats({1, 2, 12, 12}, channels(0, 2, 12)));
  const std::vector<float> all = weight_of(both), part = weight_of(first);
  REQUIRE(part.size() == 36);
  CHECK(std::equal(part.begin(), part.end(), all.begin()));
}

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
  const ScratchFolder folder;
  const auto plain = outputs_of(run_on(model, {gptq(0.5)}, 1).model);
  CHECK(outputs_of(run_on(model, {gptq(0.5)}, 5).model) == plain);
  for (int time = 0; time < 3; ++time) {
    auto journal = calibrate::Journal::open(folder.path(), "f");
    REQUIRE(journal);
    const PassRun run = run_on(model, {gptq(0.5)}, 2, *std::move(journal));
    REQUIRE(run.error == "");
    CHECK(outputs_of(run.model) == plain);
    // The next run finds every other weight done: some blocks whole, some in part.
    bool keep = false;
    for (const auto& entry : fs::directory_iterator(folder.path())) {
      if (entry.path().extension() == ".rows" && (keep = !keep)) fs::remove(entry.path());
    }
  }
}

TEST_CASE("gptq takes a network without layers block by block, on what it made of those before") {
  const ir::Model model = inferred(
      "weight @u: f32[8, 4, 3, 3] = [" + numbers(288) + "]\nweight @v: f32[8, 8, 3, 3] = [" +
      numbers(576) + "]\nweight @w: f32[4, 8, 3, 3] = [" + numbers(288) +
      "]\ngraph main(%x: f32[1, 4, 12, 12]) {\n  %a = Conv(%x, @u)\n  %b = Relu(%a)\n"
      "  %c = Conv(%b, @v) {pads = [1, 1, 1, 1]}\n  %r = Add(%c, %b)\n  %y = Conv(%r, @w)\n"
      "  return %y\n}");
  const calibrate::Held x = floats({1, 4, 12, 12}, channels(0, 4, 12));
  const auto weights = [&](bool sequential, double asymmetry, int threads,
                           std::unique_ptr<calibrate::Journal> journal = nullptr) {
    const PassRun run = run_with(model,
                                 {{"gptq", map({{"bits", number(3)},
                                                {"sequential", flag(sequential)},
                                                {"asymmetry", {asymmetry, {}}}})}},
                                 {{{"x", x}}}, threads, std::move(journal));
    REQUIRE(run.error == "");
    std::vector<std::vector<float>> all;
    for (const ir::WeightUse& use : ir::quantizable_weights(run.model))
      all.push_back(*ir::read_floats(run.model.weight(use.weight)));
    REQUIRE(all.size() == 3);
    return all;
  };
  const auto apart = weights(false, 0, 1), plain = weights(true, 0, 1), drift = weights(true, 1, 1);
  CHECK(plain[0] == apart[0]);
  CHECK(plain[1] != apart[1]);
  CHECK(plain[2] != apart[2]);
  CHECK(drift[0] == plain[0]);
  CHECK(drift[1] != plain[1]);
  CHECK(weights(true, 1, 2) == drift);
  CHECK(weights(true, 1, 5) == drift);
  const ScratchFolder folder;
  for (int time = 0; time < 3; ++time) {
    auto journal = calibrate::Journal::open(folder.path(), "f");
    REQUIRE(journal);
    CHECK(weights(true, 1, 2, *std::move(journal)) == drift);
    bool keep = false;
    for (const auto& entry : fs::directory_iterator(folder.path())) {
      if (entry.path().extension() == ".rows" && (keep = !keep)) fs::remove(entry.path());
    }
  }
}

TEST_CASE("gptq refuses an asymmetry where nothing drifts") {
  const PassRun run = run_on(read_tiny("oracle/llama"), {gptq(1, false)});
  CHECK(run.error.find("'asymmetry' needs `sequential: true`") != std::string::npos);
}

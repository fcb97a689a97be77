// low-rank, correct-bias and correct-scales: what makes up for the error of quantized weights.

#include "unit/passes/tiny_models.h"
#include "unit/support/scratch_folder.h"

using namespace thimble;
using namespace thimble::test;

namespace {

const pass::OptionValue kProducts = map({{"role", list({word("attention"), word("mlp")})}});
const PassOn kRound{"quantize-weights", map({{"bits", number(3)},
                                             {"search", word("absmax")},
                                             {"activations", word("float")},
                                             {"only", kProducts}})};

double squared_error(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return sum;
}

PassOn low_rank(int rank, bool whiten) {
  return {"low-rank", map({{"rank", number(rank)}, {"whiten", flag(whiten)}})};
}

// The error of the outputs after the passes over that of rounding alone.
double ratio(const ir::Model& model, const std::vector<PassOn>& passes) {
  const std::vector<float> before = outputs_of(model);
  const PassRun rounded = run_on(model, {passes[0]});
  const PassRun run = run_on(model, passes);
  REQUIRE(run.error == "");
  return squared_error(outputs_of(run.model), before) /
         squared_error(outputs_of(rounded.model), before);
}

}  // namespace

TEST_CASE("low-rank makes up for errors, all of them at full rank") {
  const ir::Model model = read_tiny("fable");
  CHECK(ratio(model, {kRound, low_rank(64, true)}) < 0.6);
  CHECK(ratio(model, {kRound, low_rank(64, false)}) < 0.8);
  const ir::Model gpt2 = read_tiny("oracle/gpt2");  // inputs along the first dim, with biases
  CHECK(ratio(gpt2, {kRound, low_rank(4096, true)}) < 1e-3);
  CHECK(ratio(gpt2, {kRound, low_rank(4096, false)}) < 1e-3);
}

TEST_CASE("low-rank counts its bytes and says what it won") {
  const ir::Model model = read_tiny("oracle/llama");
  const PassRun plain = run_on(model, {kRound});
  const PassRun run = run_on(model, {kRound, low_rank(4, true)});
  std::uint64_t added = 0;
  for (const auto& decision : run.report.passes[1].decisions) {
    REQUIRE(decision.output_error);
    CHECK(*decision.output_error < *decision.rounding_output_error);
    CHECK(decision.why.find("rank 4 beside it, ") == 0);
    added += std::stoull(decision.why.substr(decision.why.find(", ") + 2));
  }
  CHECK(run.model.weight_bytes() == plain.model.weight_bytes() + added);
}

TEST_CASE("low-rank gives the same bytes from its journal") {
  const ir::Model model = read_tiny("oracle/qwen2");
  const ScratchFolder folder;
  const auto plain = outputs_of(run_on(model, {kRound, low_rank(4, true)}, 1).model);
  for (int time = 0; time < 2; ++time) {
    auto journal = calibrate::Journal::open(folder.path(), "f");
    REQUIRE(journal);
    const PassRun run =
        run_on(model, {kRound, low_rank(4, true), {"correct-scales"}}, 2, *std::move(journal));
    REQUIRE(run.error == "");
    const PassRun without = run_on(model, {kRound, low_rank(4, true), {"correct-scales"}}, 5);
    CHECK(outputs_of(run.model) == outputs_of(without.model));
  }
  CHECK(outputs_of(run_on(model, {kRound, low_rank(4, true)}, 5).model) == plain);
}

TEST_CASE("correct-bias moves the bias by the mean error of the outputs") {
  std::string values;
  for (int i = 0; i < 64; ++i)
    values += (i > 0 ? ", " : "") + std::to_string((i * 37 % 64 - 31) * 0.01);
  const ir::Model model = inferred("weight @w: f32[2, 32] = [" + values + R"(]
weight @b: f32[2] = [1.0, 2.0]
graph main(%x: f32[n, 32]) {
  %y = Gemm(%x, @w) {transB = 1}
  %z = Add(%y, @b)
  return %z
})");
  std::vector<float> x;
  std::vector<double> mean(32);
  for (int i = 0; i < 96; ++i) {
    x.push_back(static_cast<float>(i * 29 % 41 - 11) * 0.1f);
    mean[static_cast<std::size_t>(i % 32)] += static_cast<double>(x.back()) / 3;
  }
  const auto* bytes = reinterpret_cast<const std::byte*>(x.data());
  const calibrate::Held input{
      program::Type::kF32,
      {3, 32},
      std::make_shared<const std::vector<std::byte>>(bytes, bytes + x.size() * 4)};
  PassOn round = kRound;
  round.options = map({{"bits", number(2)}});
  const PassRun run = run_with(model, {round, {"correct-bias"}}, {{{"x", input}}});
  REQUIRE(run.error == "");
  const auto w = ir::read_floats(model.weight(ir::WeightId{0}));
  const auto q = ir::read_floats(run.model.weight(ir::WeightId{0}));
  const auto b = ir::read_floats(run.model.weight(ir::WeightId{1}));
  REQUIRE(q);
  REQUIRE(b);
  for (std::size_t n = 0; n < 2; ++n) {
    double shift = 0;
    for (std::size_t k = 0; k < 32; ++k) shift += ((*w)[n * 32 + k] - (*q)[n * 32 + k]) * mean[k];
    CHECK(std::fabs(shift) > 1e-3);
    CHECK((*b)[n] == Approx(1.0 + static_cast<double>(n) + shift));
  }
}

TEST_CASE("correct-bias gives a product without a bias one") {
  const ir::Model llama = read_tiny("oracle/llama");
  const PassRun added = run_on(llama, {kRound, {"correct-bias"}});
  REQUIRE(added.error == "");
  CHECK(added.model.weights.size() == llama.weights.size() + count_decisions(added, 0, false));
  CHECK(ratio(llama, {kRound, {"correct-bias"}}) < 1.02);
  CHECK(added.report.passes[1].decisions[0].why.find("new, moved by up to ") == 0);
}

TEST_CASE("correct-scales loses less in every product's outputs") {
  const ir::Model model = read_tiny("fable");
  const PassRun run = run_on(model, {kRound, {"correct-scales"}});
  REQUIRE(run.error == "");
  for (const auto& decision : run.report.passes[1].decisions)
    CHECK(*decision.output_error <= *decision.rounding_output_error);
  CHECK(ratio(model, {kRound, {"correct-scales"}}) < 0.9);
  const PassOn minima{
      "hqq", map({{"bits", number(3)}, {"activations", word("float")}, {"only", kProducts}})};
  CHECK(ratio(model, {minima, {"correct-scales"}}) < 0.95);
}

TEST_CASE("compensation names what it cannot compensate") {
  for (const char* pass : {"low-rank", "correct-bias", "correct-scales"}) {
    const PassRun run = run_on(read_tiny("oracle/llama"), {{pass}});
    CHECK(findings_of(run, 0) == Texts{"no quantized weight was there to compensate"});
    const PassRun tied = run_on(read_tiny("oracle/llama-tied"), {{"quantize-weights"}, {pass}});
    REQUIRE(tied.error == "");
    REQUIRE(count_decisions(tied, 1, true) == 1);
    CHECK(tied.report.passes[1].decisions[0].why == "not compensated: it is an embedding");
  }
  const ir::Model other = inferred(R"(weight @k: f32[8, 4, 3]
weight @w: f32[1, 64, 8]
weight @r: f32[1, 64, 16]
graph main(%x: f32[5, 4, 9]) {
  %c = Conv(%x, @k)
  %s = Transpose(%c) {perm = [0, 2, 1]}
  %y = LSTM(%s, @w, @r) {hidden_size = 16}
  return %y
})");
  for (const char* pass : {"low-rank", "correct-bias", "correct-scales"}) {
    const PassRun run = run_with(other, {{"quantize-weights"}, {pass}}, {});
    REQUIRE(run.error == "");
    REQUIRE(count_decisions(run, 1, true) == 3);
    const auto& kept = run.report.passes[1].decisions;
    CHECK(kept[0].why == "not compensated: it is a convolution's");
    CHECK(kept[1].why == "not compensated: it is a recurrent operator's");
  }
  const PassRun strict = run_on(read_tiny("oracle/llama"), {{"low-rank"}}, 1, nullptr, true);
  CHECK(strict.error.find("no quantized weight was there to compensate") != std::string::npos);
}

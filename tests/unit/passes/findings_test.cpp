#include <sstream>

#include "pass/finite.h"
#include "quant/quantize.h"
#include "report/summary.h"
#include "unit/passes/tiny_models.h"
#include "unit/support/scratch_folder.h"

using namespace thimble;
using namespace thimble::test;
using pass::FindingKind;

namespace {

// y = x W^T with W [4, 64], its elements given by a function.
template <class F>
ir::Model product(F&& element) {
  std::ostringstream text;
  text << "weight @w: f32[4, 64] = [";
  for (int i = 0; i < 256; ++i) text << (i > 0 ? ", " : "") << element(i / 64, i % 64);
  text << "]\ngraph main(%x: f32[n, 64]) {\n  %y = Gemm(%x, @w) {transB = 1}\n  return %y\n}";
  return inferred(text.str());
}

std::string plain(int row, int column) {
  return std::to_string(((row * 64 + column) * 37 % 101 - 50) * 0.01);
}

// `rows` rows of x, those columns of it 0.
std::vector<calibrate::Sample> inputs(int rows, int dead) {
  std::vector<float> x;
  for (int i = 0; i < rows * 64; ++i)
    x.push_back(i % 64 < dead ? 0.0f : static_cast<float>(i * 29 % 41 - 20) * 0.1f);
  const auto* bytes = reinterpret_cast<const std::byte*>(x.data());
  return {{{"x",
            {program::Type::kF32,
             {rows, 64},
             std::make_shared<const std::vector<std::byte>>(bytes, bytes + x.size() * 4)}}}};
}

pass::OptionValue with(std::int64_t group) {
  return map({{"bits", number(4)}, {"group_size", number(group)}});
}

}  // namespace

TEST_CASE("gptq names dead inputs, a singular Hessian and groups of zeros, each with its rule") {
  const ir::Model model = product([](int row, int column) {
    return row == 1 && column < 32 ? std::string("-0.0") : plain(row, column);
  });
  const PassRun run = run_with(model, {{"gptq", with(32)}}, inputs(40, 3));
  REQUIRE(run.error == "");
  const auto& found = run.report.passes[0].findings;
  REQUIRE(findings_of(run, 0) ==
          Texts{"'w': 3 inputs were 0 in all of the calibration; theirs are rounded",
                "'w': 40 tokens of calibration for 64 inputs: the Hessian is singular but for its "
                "damping",
                "'w': 1 groups of weights are all 0; their scale is 0"});
  CHECK(found[0].kind == FindingKind::kDeadChannel);
  CHECK(found[0].count == 3);
  CHECK(found[1].kind == FindingKind::kSingularHessian);
  CHECK(found[2].kind == FindingKind::kZeroGroup);
  CHECK(found[2].count == 1);
  for (const pass::Finding& finding : found) CHECK(finding.rule == "default");
  CHECK(findings_of(run_with(product(plain), {{"gptq", with(32)}}, inputs(80, 0)), 0).empty());

  const PassRun strict =
      run_with(model, {{"gptq", with(32)}}, inputs(40, 3), 1, nullptr, /*strict=*/true);
  CHECK(strict.error.find("3 inputs were 0 in all of the calibration") != std::string::npos);
  CHECK(strict.error.find("(tensor 'w')") != std::string::npos);
  CHECK(strict.error.find("and 2 more: singular-hessian 'w', zero-group 'w'") != std::string::npos);
  CHECK(strict.error.find("in pass 'gptq', under --strict") != std::string::npos);
}

TEST_CASE("gptq says the same of what it finds in its journal") {
  const ScratchFolder folder;
  Texts first;
  for (int time = 0; time < 2; ++time) {
    auto journal = calibrate::Journal::open(folder.path(), "f");
    REQUIRE(journal);
    const PassRun run =
        run_with(product(plain), {{"gptq", with(32)}}, inputs(40, 3), 1, *std::move(journal));
    REQUIRE(run.error == "");
    if (time == 0) first = findings_of(run, 0);
    CHECK(findings_of(run, 0) == first);
  }
  CHECK(first.size() == 2);
}

TEST_CASE("compensation names what the statistics of its inputs lack") {
  const PassRun run =
      run_with(product(plain), {{"quantize-weights", with(32)}, {"correct-scales"}}, inputs(40, 3));
  REQUIRE(run.error == "");
  const auto& found = run.report.passes[1].findings;
  REQUIRE(found.size() == 2);
  CHECK(found[0].kind == FindingKind::kDeadChannel);
  CHECK(found[1].kind == FindingKind::kSingularHessian);
}

TEST_CASE("groups of zeros are counted as rows are written") {
  const ir::Model model = product([](int row, int column) {
    return row > 1 && column >= 32 ? std::string("0.0") : plain(row, column);
  });
  const PassRun run = run_with(model, {{"quantize-weights", with(32)}}, {});
  REQUIRE(run.error == "");
  const ir::Weight& weight = run.model.weight(ir::WeightId{0});
  CHECK_FALSE(quant::zero_groups(*weight.source));
  REQUIRE(weight.source->read(0, 4));
  CHECK(quant::zero_groups(*weight.source) == 2);
  const PassRun channel =
      run_with(model, {{"quantize-weights", map({{"group_size", word("channel")}})}}, {});
  REQUIRE(channel.model.weight(ir::WeightId{0}).source->read(0, 4));
  CHECK(quant::zero_groups(*channel.model.weight(ir::WeightId{0}).source) == 0);

  ir::Encoding encoding = weight.encoding;
  encoding.group_size = 16;
  const std::vector<float> zeros(40);
  CHECK(quant::count_zero_groups({zeros, 2, 20}, encoding) == 4);
  encoding.per_tensor = true;
  CHECK(quant::count_zero_groups({zeros, 2, 20}, encoding) == 2);
}

TEST_CASE("a shape that an encoding can't take is named with its rule") {
  const PassOn coded{
      "quantize-weights",
      map({{"sub_scale_bits", number(6)}, {"group_size", number(64)}, {"bits", number(4)}})};
  const PassRun run = run_with(product(plain), {coded}, {});
  REQUIRE(run.report.passes[0].findings.size() == 1);
  CHECK(run.report.passes[0].findings[0].kind == FindingKind::kShape);
  CHECK(run.report.passes[0].findings[0].tensor == "w");
  CHECK(run.report.passes[0].findings[0].rule == "default");
  CHECK(run_with(product(plain), {coded}, {}, 1, nullptr, true).error.find("`sub_scale_bits`") !=
        std::string::npos);

  const PassOn embedding{
      "gptq", map({{"rules", list({map({{"role", word("embedding")}, {"bits", number(8)}})})}})};
  const PassRun gathered = run_on(read_tiny("oracle/llama"), {embedding});
  REQUIRE(gathered.error == "");
  const auto& found = gathered.report.passes[0].findings;
  REQUIRE(found.size() >= 1);
  CHECK(found[0].kind == FindingKind::kShape);
  CHECK(found[0].rule == "rule 1 (role: embedding)");
}

TEST_CASE("weights that aren't finite are named, masks are not") {
  const char* text = R"(weight @w: f32[2, 3] = [1.0, nan, 2.0, inf, 3.0, 4.0]
weight @mask: f32[3] = [0.0, -inf, -inf]
weight @gain: f32[3] = [0.0, nan, -inf]
weight @whole: f32[3] = [0.0, 1.0, -2.0]
graph main(%x: f32[n, 3]) {
  %a = Add(%x, @mask)
  %b = Mul(%a, @gain)
  %c = Mul(%b, @whole)
  %y = Gemm(%c, @w) {transB = 1}
  return %y
})";
  ThreadPool pool(2);
  const auto found = pass::find_not_finite(parsed(text), pool);
  REQUIRE(found);
  REQUIRE(found->size() == 2);
  CHECK((*found)[0].to_string() == "'w': 2 weights are not finite, first in row 0");
  CHECK((*found)[1].to_string() == "'gain': 2 weights are not finite, first in row 0");
  CHECK((*found)[0].count == 2);
}

TEST_CASE("findings are summed up by kind") {
  std::vector<pass::Finding> findings;
  for (const char* tensor : {"a", "b", "c", "d", "e"})
    findings.push_back({FindingKind::kDeadChannel, tensor, 1, "1 inputs were 0", ""});
  findings.push_back({FindingKind::kNoEffect, "", 0, "nothing was done", ""});
  CHECK(report::finding_lines("gptq", findings) ==
        Texts{"gptq: 'a': 1 inputs were 0 (dead-channel in 4 more: 'b', 'c', 'd', ...)",
              "gptq: nothing was done"});
  CHECK(report::finding_lines("gptq", std::span(findings).first(2)) ==
        Texts{"gptq: 'a': 1 inputs were 0", "gptq: 'b': 1 inputs were 0"});
}

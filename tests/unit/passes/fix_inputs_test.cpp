#include "unit/passes/same_results.h"

using namespace thimble::test;

namespace {

const std::string kRate = R"(weight @fast: i64[] = [16000]
weight @two: f32[] = [2.0]
body then() captures (%x: f32[n, 2]) {
  %a: f32[n, 2] = Mul(%x, @two)
  return %a
}
body else() captures (%x: f32[n, 2], %rate: i64[]) {
  %r: f32[] = Cast(%rate) {to = 1}
  %b: f32[n, 2] = Mul(%x, %r)
  return %b
}
graph main(%x: f32[n, 2], %rate: i64[]) {
  %is: bool[] = Equal(%rate, @fast)
  %y: f32[n, 2] = If(%is) {else_branch = #1, then_branch = #0}
  return %y
})";

PassRun fixed(const std::string& values) {
  return run_pass("fix-inputs", kRate, map({{"values", word(values)}}));
}

}  // namespace

TEST_CASE("fix-inputs settles what asks about an input") {
  for (const auto& [values, nodes] :
       {std::pair{"rate=16000", "y = Mul(x, two)\n"}, {"rate=8000", "y = Mul(x, r)\n"}}) {
    const PassRun run = fixed(values);
    INFO(run.error);
    REQUIRE(run.error.empty());
    CHECK(run.model.graph.inputs().size() == 1);
    const PassRun simple = run_pass("simplify", thimble::ir::print(run.model));
    INFO(simple.error);
    CHECK(nodes_of(simple.model) == nodes);
  }
}

TEST_CASE("fix-inputs refuses what it cannot fix") {
  CHECK(fixed("rat=1").error.find("no input 'rat' to fill (did you mean 'rate'?)") !=
        std::string::npos);
  CHECK(fixed("rate=0.5").error.find("cannot hold 0.5") != std::string::npos);
  CHECK(fixed("x=1").error.find("an input of open size cannot be fixed") != std::string::npos);
  CHECK(fixed("").error.find("fix-inputs has no 'values'") != std::string::npos);
}

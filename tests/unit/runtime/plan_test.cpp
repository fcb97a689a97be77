// Where activations lie: lifetimes, and parts of what is put together from them.

#include "runtime/plan.h"

#include "unit/catch.h"

namespace thimble::runtime {
namespace {

program::Instruction instruction(std::vector<std::int32_t> inputs, std::int32_t output) {
  program::Instruction out;
  out.op = program::Op::kUnary;
  out.inputs = std::move(inputs);
  out.outputs = {output};
  return out;
}

// Slot 0 is the input; each instruction writes the slot after its own number.
program::Program program_of(const std::vector<std::vector<std::int32_t>>& inputs) {
  program::Program program;
  program.slots.resize(inputs.size() + 1);
  program.regions.emplace_back();
  for (const auto& reads : inputs) {
    auto& list = program.regions[0].instructions;
    list.push_back(instruction(reads, static_cast<std::int32_t>(list.size()) + 1));
  }
  program.regions[0].outputs = {static_cast<std::int32_t>(inputs.size())};
  return program;
}

Planner planner_of(const program::Program& program, const std::vector<std::uint64_t>& bytes) {
  Planner planner(program, program.regions[0]);
  for (std::size_t slot = 0; slot < bytes.size(); ++slot)
    planner.set_bytes(static_cast<std::int32_t>(slot), bytes[slot]);
  return planner;
}

}  // namespace

TEST_CASE("slots whose lives don't overlap share memory") {
  const program::Program program = program_of({{0}, {1}, {2}, {3}});
  const Plan plan = planner_of(program, {0, 64, 64, 64, 64}).make();
  CHECK(plan.bytes == 128);
  CHECK(plan.offset[1] == plan.offset[3]);
  CHECK(plan.offset[1] != plan.offset[2]);
}

TEST_CASE("parts lie in what is put together from them, from the first part on") {
  // 1 and 3 make 4; 2 lives between them, and 4 with 5 makes 6.
  const program::Program program = program_of({{0}, {1}, {2}, {1, 3}, {4}, {4, 5}, {6}});
  Planner planner = planner_of(program, {0, 128, 256, 64, 192, 64, 256, 32});
  planner.put_within(1, 4, 0);
  planner.put_within(3, 4, 128);
  planner.put_within(4, 6, 0);
  planner.put_within(5, 6, 192);
  const Plan plan = planner.make();
  CHECK(plan.offset[1] == plan.offset[6]);
  CHECK(plan.offset[3] == plan.offset[6] + 128);
  CHECK(plan.offset[4] == plan.offset[6]);
  CHECK(plan.offset[5] == plan.offset[6] + 192);
  CHECK(plan.offset[2] >= plan.offset[6] + 256);
  CHECK(plan.bytes == 512);
}

TEST_CASE("parts that can't lie in a whole lie on their own") {
  const program::Program program = program_of({{0}, {0}, {1, 2}, {1, 3}});
  Planner planner = planner_of(program, {0, 40, 64, 104, 144});
  planner.keep_out(3);
  planner.put_within(1, 3, 0);  // the whole lives elsewhere
  planner.put_within(1, 4, 0);
  planner.put_within(1, 4, 64);  // is in it already
  planner.put_within(2, 4, 40);  // not on a boundary
  const Plan plan = planner.make();
  CHECK(plan.offset[1] == plan.offset[4]);
  CHECK(plan.offset[3] == Plan::kNone);
  CHECK(plan.offset[2] >= plan.offset[4] + 144);
}

}  // namespace thimble::runtime

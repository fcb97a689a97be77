#include "runtime/plan.h"

#include <algorithm>
#include <numeric>

#include "support/checked.h"

namespace thimble::runtime {
namespace {

constexpr std::uint64_t kAlignment = 64;

struct Block {
  std::uint64_t offset, size;
  std::size_t last;  // instruction that reads it last
};

// The lowest gap that takes `size` among the live blocks, which are sorted by offset.
std::uint64_t first_fit(const std::vector<Block>& live, std::uint64_t size) {
  std::uint64_t at = 0;
  for (const Block& block : live) {
    if (at + size <= block.offset) return at;
    at = std::max(at, block.offset + block.size);
  }
  return at;
}

}  // namespace

Planner::Planner(const program::Program& program, const program::Region& region)
    : program_(program),
      region_(region),
      bytes_(program.slots.size(), 0),
      out_(program.slots.size(), false),
      alias_(program.slots.size()) {
  std::iota(alias_.begin(), alias_.end(), 0);
  for (const std::int32_t slot : alias_) within_.push_back({slot, 0});
  for (const program::Instruction& instruction : region.instructions) {
    if (instruction.op != program::Op::kReshape) continue;
    alias_[static_cast<std::size_t>(instruction.outputs[0])] = instruction.inputs[0];
  }
}

std::int32_t Planner::root(std::int32_t slot) const {
  while (alias_[static_cast<std::size_t>(slot)] != slot)
    slot = alias_[static_cast<std::size_t>(slot)];
  return slot;
}

// A body's instructions read outer slots while the instruction that runs it does.
void Planner::read_in(const program::Instruction& instruction, std::size_t at,
                      std::vector<std::size_t>& last) const {
  for (const auto* list : {&instruction.inputs, &instruction.outputs}) {
    for (const std::int32_t slot : *list) {
      if (slot >= 0) last[static_cast<std::size_t>(root(slot))] = at;
    }
  }
  for (const std::int32_t index : instruction.regions) {
    const program::Region& body = program_.region(index);
    for (const program::Instruction& inner : body.instructions) read_in(inner, at, last);
    for (const std::int32_t slot : body.outputs) last[static_cast<std::size_t>(root(slot))] = at;
  }
}

void Planner::put_within(std::int32_t part, std::int32_t whole, std::uint64_t offset) {
  const bool elsewhere = out_[static_cast<std::size_t>(part)] ||
                         out_[static_cast<std::size_t>(whole)] || root(part) != part ||
                         within_[static_cast<std::size_t>(part)].whole != part;
  if (!elsewhere && offset % kAlignment == 0)
    within_[static_cast<std::size_t>(part)] = {whole, offset};
}

Planner::Place Planner::place_of(std::int32_t slot) const {
  Place place{slot, 0};
  for (;;) {
    const Place& next = within_[static_cast<std::size_t>(place.whole)];
    if (next.whole == place.whole) return place;
    place = {next.whole, place.offset + next.offset};
  }
}

std::vector<std::size_t> Planner::last_reads() const {
  const std::size_t end = region_.instructions.size();
  std::vector<std::size_t> last(program_.slots.size(), 0);
  for (std::size_t i = 0; i < end; ++i) read_in(region_.instructions[i], i, last);
  for (const std::int32_t slot : region_.outputs) last[static_cast<std::size_t>(root(slot))] = end;
  for (const program::State& state : program_.states)
    last[static_cast<std::size_t>(root(state.output))] = end;
  for (std::size_t slot = 0; slot < last.size(); ++slot) {
    std::size_t& whole =
        last[static_cast<std::size_t>(place_of(static_cast<std::int32_t>(slot)).whole)];
    whole = std::max(whole, last[slot]);
  }
  return last;
}

Plan Planner::make() const {
  const std::vector<std::size_t> last = last_reads();
  Plan plan;
  plan.offset.assign(program_.slots.size(), Plan::kNone);
  std::vector<Block> live;
  const auto allocate = [&](std::int32_t slot) {
    const std::uint64_t size = round_up(bytes_[static_cast<std::size_t>(slot)], kAlignment);
    const Block block{first_fit(live, size), size, last[static_cast<std::size_t>(slot)]};
    live.insert(
        std::upper_bound(live.begin(), live.end(), block,
                         [](const Block& a, const Block& b) { return a.offset < b.offset; }),
        block);
    plan.offset[static_cast<std::size_t>(slot)] = block.offset;
    plan.bytes = std::max(plan.bytes, block.offset + size);
  };
  for (std::size_t i = 0; i < region_.instructions.size(); ++i) {
    std::erase_if(live, [&](const Block& block) { return block.last < i; });
    for (const std::int32_t slot : region_.instructions[i].outputs) {
      if (slot < 0 || out_[static_cast<std::size_t>(slot)]) continue;
      if (root(slot) != slot) {
        plan.aliases.emplace_back(slot, root(slot));
        continue;
      }
      const Place place = place_of(slot);
      const std::uint64_t& base = plan.offset[static_cast<std::size_t>(place.whole)];
      if (base == Plan::kNone) allocate(place.whole);
      plan.offset[static_cast<std::size_t>(slot)] = base + place.offset;
    }
  }
  return plan;
}

}  // namespace thimble::runtime

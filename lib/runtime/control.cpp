// If, Loop and Scan: instructions that run other regions. Bodies read outer slots where they are;
// what they compute has memory of its own, kept from one run to the next.

#include <limits>
#include <span>

#include "runtime/loop_values.h"
#include "runtime/ops/ops.h"
#include "runtime/state.h"

namespace thimble::runtime {
namespace {

Expected<bool> truth(const Value& value) {
  if (value.type != program::Type::kBool || value.count() != 1)
    return invalid_argument("a condition must be one bool");
  return *static_cast<const std::uint8_t*>(value.data) != 0;
}

// Is every input from `first` on there?
bool has_inputs(const program::Instruction& instruction, std::size_t first) {
  for (std::size_t i = first; i < instruction.inputs.size(); ++i) {
    if (instruction.inputs[i] < 0) return false;
  }
  return true;
}

// The i-th of a list of integers; 0, ONNX's default, where there is none.
std::int64_t listed(const program::Instruction& instruction, std::string_view name, std::size_t i) {
  const program::Attribute* attribute = instruction.find(name);
  return attribute == nullptr || i >= attribute->ints.size() ? 0 : attribute->ints[i];
}

// `side`: scan_input or scan_output.
Along along(const program::Instruction& instruction, const std::string& side, std::size_t i) {
  return {listed(instruction, side + "_axes", i),
          listed(instruction, side + "_directions", i) == 1};
}

}  // namespace

// The rounds of a loop's body, by its slots: carried values enter at the first of `entries` and
// leave as the first of `results`; the results behind them are stacked.
class Session::State::Rounds {
 public:
  using Slots = std::span<const std::int32_t>;
  Rounds(State& state, Slots entries, Slots results, std::vector<Stack> stacks)
      : state_(state),
        entries_(entries),
        results_(results),
        carried_(results.size() - stacks.size()),
        stacks_(std::move(stacks)) {}

  // With what the first round is given.
  Status begin(Slots given) {
    for (std::size_t i = 0; i < carried_; ++i) THIMBLE_TRY(take(given[i]));
    return ok();
  }
  // Before the body runs, and after it.
  Status enter() {
    for (std::size_t i = 0; i < carried_; ++i)
      THIMBLE_TRY(state_.copy_to(entries_[i], handed_on_.at(i)));
    return ok();
  }
  Status leave() {
    handed_on_.clear();
    for (std::size_t i = 0; i < results_.size(); ++i)
      THIMBLE_TRY(i < carried_ ? take(results_[i]) : stack(i));
    return ok();
  }
  // To the instruction's outputs, of which some may be absent.
  Status end(Slots outputs) {
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      if (outputs[i] < 0) continue;
      if (i < carried_) {
        THIMBLE_TRY(state_.copy_to(outputs[i], handed_on_.at(i)));
        continue;
      }
      THIMBLE_ASSIGN(const Value all,
                     stacks_[i - carried_].stacked(state_.value(results_[i])->type));
      THIMBLE_TRY(state_.copy_to(outputs[i], all));
    }
    return ok();
  }

 private:
  Status take(std::int32_t slot) {
    return handed_on_.take(*state_.value(slot), state_.slot(slot).name);
  }
  Status stack(std::size_t i) {
    return stacks_[i - carried_].add(*state_.value(results_[i]), state_.slot(results_[i]).name);
  }

  State& state_;
  Slots entries_, results_;
  std::size_t carried_;
  Carried handed_on_;
  std::vector<Stack> stacks_;
};

Status Session::State::run_control(Bound& bound) {
  switch (bound.call.instruction.op) {
    case program::Op::kIf:
      return run_if(bound);
    case program::Op::kLoop:
      return run_loop(bound);
    default:
      return run_scan(bound);
  }
}

Status Session::State::run_if(Bound& bound) {
  const program::Instruction& instruction = bound.call.instruction;
  THIMBLE_ASSIGN(const bool yes, truth(*bound.call.inputs[0]));
  const std::int32_t chosen = instruction.regions[yes ? 0 : 1];
  const program::Region& body = program().region(chosen);
  if (body.outputs.size() != instruction.outputs.size())
    return invalid_file("a branch gives another number of results");
  THIMBLE_TRY(run_region(chosen));
  for (std::size_t i = 0; i < body.outputs.size(); ++i) {
    if (instruction.outputs[i] >= 0)
      THIMBLE_TRY(copy_to(instruction.outputs[i], *value(body.outputs[i])));
  }
  return ok();
}

// ONNX's Loop: body (round, condition, carried...) -> (condition, carried..., scanned...).
Status Session::State::run_loop(Bound& bound) {
  const program::Instruction& instruction = bound.call.instruction;
  const auto& inputs = bound.call.inputs;
  const std::int32_t index = instruction.regions[0];
  const program::Region& body = program().region(index);
  const std::size_t carried = inputs.size() > 2 ? inputs.size() - 2 : 0;
  if (body.inputs.size() != carried + 2 || body.outputs.size() < carried + 1 ||
      instruction.outputs.size() != body.outputs.size() - 1 || !has_inputs(instruction, 2)) {
    return invalid_file("a loop's body doesn't fit its inputs and results");
  }
  std::int64_t trips = std::numeric_limits<std::int64_t>::max();
  if (!inputs.empty() && inputs[0] != nullptr) {
    THIMBLE_ASSIGN(const auto given, integers_of(*inputs[0]));
    if (given.size() != 1) return invalid_argument("a loop's number of rounds must be one number");
    trips = given[0];
  }
  bool going = true;
  if (inputs.size() > 1 && inputs[1] != nullptr) {
    THIMBLE_ASSIGN(going, truth(*inputs[1]));
  }
  const auto results = std::span(body.outputs).subspan(1);
  Rounds rounds(*this, std::span(body.inputs).last(carried), results,
                std::vector<Stack>(results.size() - carried));
  THIMBLE_TRY(rounds.begin(std::span(instruction.inputs).last(carried)));
  for (std::int64_t round = 0; round < trips && going; ++round) {
    THIMBLE_TRY(resize(body.inputs[0], value(body.inputs[0])->dims));
    THIMBLE_TRY(resize(body.inputs[1], value(body.inputs[1])->dims));
    if (value(body.inputs[0])->type != program::Type::kI64)
      return invalid_file("a loop counts its rounds in i64");
    *static_cast<std::int64_t*>(value(body.inputs[0])->data) = round;
    *static_cast<std::uint8_t*>(value(body.inputs[1])->data) = 1;
    THIMBLE_TRY(rounds.enter());
    THIMBLE_TRY(run_region(index));
    THIMBLE_ASSIGN(going, truth(*value(body.outputs[0])));
    THIMBLE_TRY(rounds.leave());
  }
  return rounds.end(instruction.outputs);
}

// ONNX's Scan (9 and later): body (carried..., slices...) -> (carried..., slices...).
Status Session::State::run_scan(Bound& bound) {
  const program::Instruction& instruction = bound.call.instruction;
  const auto& inputs = bound.call.inputs;
  const std::int32_t index = instruction.regions[0];
  const program::Region& body = program().region(index);
  const std::int64_t scans = instruction.integer("num_scan_inputs", 0);
  const auto carried = static_cast<std::size_t>(static_cast<std::int64_t>(inputs.size()) - scans);
  if (scans < 1 || scans > static_cast<std::int64_t>(inputs.size()) ||
      body.inputs.size() != inputs.size() || body.outputs.size() != instruction.outputs.size() ||
      body.outputs.size() < carried || !has_inputs(instruction, 0)) {
    return invalid_file("a scan's body doesn't fit its inputs and results");
  }
  std::vector<Sequence> sequences;
  for (std::size_t i = 0; i + carried < inputs.size(); ++i) {
    THIMBLE_ASSIGN(Sequence sequence,
                   Sequence::of(*inputs[carried + i], along(instruction, "scan_input", i)));
    if (sequence.length() != (i == 0 ? sequence : sequences[0]).length())
      return invalid_argument("a scan's inputs differ in length");
    sequences.push_back(std::move(sequence));
  }
  std::vector<Stack> stacks;
  for (std::size_t i = 0; i + carried < body.outputs.size(); ++i)
    stacks.emplace_back(along(instruction, "scan_output", i));
  Rounds rounds(*this, std::span(body.inputs).first(carried), body.outputs, std::move(stacks));
  THIMBLE_TRY(rounds.begin(std::span(instruction.inputs).first(carried)));
  for (std::int64_t round = 0; round < sequences[0].length(); ++round) {
    THIMBLE_TRY(rounds.enter());
    for (std::size_t i = 0; i < sequences.size(); ++i)
      THIMBLE_TRY(copy_to(body.inputs[carried + i], sequences[i].slice(round)));
    THIMBLE_TRY(run_region(index));
    THIMBLE_TRY(rounds.leave());
  }
  return rounds.end(instruction.outputs);
}

}  // namespace thimble::runtime

// If, Loop and Scan: instructions that run other regions. Bodies read outer slots where they are;
// what they compute has memory of its own, kept from one run to the next.

#include <algorithm>
#include <cstring>
#include <limits>
#include <span>

#include "runtime/memory.h"
#include "runtime/ops/ops.h"
#include "runtime/state.h"

namespace thimble::runtime {
namespace {

std::size_t size_of(const Value& value) {
  return static_cast<std::size_t>(value.count() * program::type_bytes(value.type));
}

Expected<bool> truth(const Value& value) {
  if (value.type != program::Type::kBool || value.count() != 1)
    return invalid_argument("a condition must be one bool");
  return *static_cast<const std::uint8_t*>(value.data) != 0;
}

// Of values that a loop hands on, and of each result that its rounds add to: a file may say a loop
// without end.
constexpr std::size_t kMostGathered = std::size_t{1} << 30;

Status check_gathered(std::size_t held, std::size_t more, const std::string& name) {
  if (more <= kMostGathered && held <= kMostGathered - more) return ok();
  return Error(ErrorCode::kResource,
               "a loop's values grow beyond " + std::to_string(kMostGathered >> 20) + " MiB")
      .at_tensor(name)
      .fix("give the loop fewer rounds, or a condition that ends it sooner");
}

// Values that a loop hands from one round to the next. All are taken before any is given: a body
// may exchange them.
class Carried {
 public:
  // `name`: of the value, for errors.
  Status take(const Value& value, const std::string& name) {
    const std::size_t bytes = size_of(value);
    THIMBLE_TRY(check_gathered(bytes_, bytes, name));
    held_.push_back({value.type, value.dims, {}});
    THIMBLE_TRY(held_.back().memory.allocate(bytes));
    if (bytes > 0) std::memcpy(held_.back().memory.data(), value.data, bytes);
    bytes_ += bytes;
    return ok();
  }
  Value at(std::size_t i) {
    Value value;
    value.type = held_[i].type;
    value.dims = held_[i].dims;
    value.data = held_[i].memory.data();
    return value;
  }
  void clear() {
    held_.clear();
    bytes_ = 0;
  }

 private:
  struct Held {
    program::Type type;
    Dims dims;
    Memory memory;
  };
  std::vector<Held> held_;
  std::size_t bytes_ = 0;
};

// Moves axis 0 to the place after `outer` elements, or back: [n, outer, inner] <-> [outer, n,
// inner].
void move_axis(const std::byte* from, std::int64_t n, std::int64_t outer, std::size_t run,
               bool to_front, std::byte* to) {
  if (run == 0) return;  // nothing lies anywhere
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t o = 0; o < outer; ++o) {
      const std::size_t front = static_cast<std::size_t>(i * outer + o) * run;
      const std::size_t inside = static_cast<std::size_t>(o * n + i) * run;
      std::memcpy(to + (to_front ? front : inside), from + (to_front ? inside : front), run);
    }
  }
}

std::int64_t count_before(const Dims& dims, std::size_t axis) {
  return count_of(Dims(dims.begin(), dims.begin() + static_cast<std::ptrdiff_t>(axis)));
}

// What a loop reads slice by slice, the scanned axis moved to the front.
class Sequence {
 public:
  static Expected<Sequence> of(const Value& x, std::int64_t axis, bool backwards) {
    THIMBLE_ASSIGN(const std::size_t at, axis_at(axis, x.dims.size()));
    Sequence out;
    out.length_ = x.dims[at];
    out.backwards_ = backwards;
    out.slice_.type = x.type;
    out.slice_.dims = x.dims;
    out.slice_.dims.erase(out.slice_.dims.begin() + static_cast<std::ptrdiff_t>(at));
    out.bytes_.resize(size_of(x));
    const std::int64_t outer = count_before(x.dims, at);
    const std::size_t run = outer > 0 ? size_of(out.slice_) / static_cast<std::size_t>(outer) : 0;
    move_axis(static_cast<const std::byte*>(x.data), out.length_, outer, run, true,
              out.bytes_.data());
    return out;
  }
  std::int64_t length() const { return length_; }
  Value slice(std::int64_t round) {
    const auto at = static_cast<std::size_t>(backwards_ ? length_ - 1 - round : round);
    slice_.data = bytes_.data() + at * size_of(slice_);
    return slice_;
  }

 private:
  std::vector<std::byte> bytes_;
  Value slice_;  // of the current round
  std::int64_t length_ = 0;
  bool backwards_ = false;
};

// Results of each round, stacked along an axis in the end.
class Stack {
 public:
  // `name`: of the value, for errors.
  Status add(const Value& value, const std::string& name) {
    if (rounds_ > 0 && value.dims != round_.dims)
      return invalid_argument("a loop's scanned results differ in shape");
    const std::size_t bytes = size_of(value);
    THIMBLE_TRY(check_gathered(bytes_, bytes, name));
    THIMBLE_TRY(reserve(bytes_ + bytes));
    if (bytes > 0) std::memcpy(memory_.data() + bytes_, value.data, bytes);
    bytes_ += bytes;
    round_ = value;
    ++rounds_;
    return ok();
  }
  // `type` where there was no round at all.
  Expected<Value> stacked(program::Type type, std::int64_t axis, bool backwards) {
    Value out;
    out.type = type;
    out.dims = rounds_ > 0 ? round_.dims : Dims();
    THIMBLE_ASSIGN(const std::size_t at, axis_at(axis, out.dims.size() + 1));
    const std::size_t slice = rounds_ > 0 ? size_of(round_) : 0;
    if (backwards) reverse(slice);
    if (at > 0) {
      const std::int64_t outer = count_before(out.dims, at);
      Memory moved;
      THIMBLE_TRY(moved.allocate(bytes_));
      move_axis(memory_.data(), rounds_, outer,
                outer > 0 ? slice / static_cast<std::size_t>(outer) : 0, false, moved.data());
      memory_ = std::move(moved);
    }
    out.dims.insert(out.dims.begin() + static_cast<std::ptrdiff_t>(at), rounds_);
    out.data = memory_.data();
    return out;
  }

 private:
  Status reserve(std::size_t bytes) {
    if (bytes <= memory_.size()) return ok();
    Memory larger;
    THIMBLE_TRY(larger.allocate(std::max(bytes, 2 * memory_.size())));
    if (bytes_ > 0) std::memcpy(larger.data(), memory_.data(), bytes_);
    memory_ = std::move(larger);
    return ok();
  }
  void reverse(std::size_t slice) {
    std::byte* const data = memory_.data();
    for (std::size_t i = 0, j = bytes_; i + slice < j; i += slice) {
      j -= slice;
      std::swap_ranges(data + i, data + i + slice, data + j);
    }
  }
  Memory memory_;
  std::size_t bytes_ = 0;  // of it, that rounds have given
  Value round_;            // dims of the last one
  std::int64_t rounds_ = 0;
};

// Is every input from `first` on there?
bool has_inputs(const program::Instruction& instruction, std::size_t first) {
  for (std::size_t i = first; i < instruction.inputs.size(); ++i) {
    if (instruction.inputs[i] < 0) return false;
  }
  return true;
}

// What a round of a loop's body gave: the first `results` are handed on, the others stacked.
template <class State>
Status gather(State& session, std::span<const std::int32_t> results, Carried& handed_on,
              std::vector<Stack>& stacks) {
  const std::size_t carried = results.size() - stacks.size();
  handed_on.clear();
  for (std::size_t i = 0; i < results.size(); ++i) {
    const Value& value = *session.value(results[i]);
    const std::string& name = session.slot(results[i]).name;
    THIMBLE_TRY(i < carried ? handed_on.take(value, name) : stacks[i - carried].add(value, name));
  }
  return ok();
}

std::int64_t listed(const program::Instruction& instruction, std::string_view name, std::size_t i) {
  const program::Attribute* attribute = instruction.find(name);
  return attribute == nullptr || i >= attribute->ints.size() ? 0 : attribute->ints[i];
}

}  // namespace

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
  Carried state;
  for (std::size_t i = 0; i < carried; ++i)
    THIMBLE_TRY(state.take(*inputs[i + 2], slot(instruction.inputs[i + 2]).name));
  std::vector<Stack> stacks(body.outputs.size() - carried - 1);
  for (std::int64_t round = 0; round < trips && going; ++round) {
    THIMBLE_TRY(resize(body.inputs[0], value(body.inputs[0])->dims));
    THIMBLE_TRY(resize(body.inputs[1], value(body.inputs[1])->dims));
    if (value(body.inputs[0])->type != program::Type::kI64)
      return invalid_file("a loop counts its rounds in i64");
    *static_cast<std::int64_t*>(value(body.inputs[0])->data) = round;
    *static_cast<std::uint8_t*>(value(body.inputs[1])->data) = 1;
    for (std::size_t i = 0; i < carried; ++i) THIMBLE_TRY(copy_to(body.inputs[i + 2], state.at(i)));
    THIMBLE_TRY(run_region(index));
    THIMBLE_ASSIGN(going, truth(*value(body.outputs[0])));
    THIMBLE_TRY(gather(*this, std::span(body.outputs).subspan(1), state, stacks));
  }
  for (std::size_t i = 0; i < carried; ++i) {
    if (instruction.outputs[i] >= 0) THIMBLE_TRY(copy_to(instruction.outputs[i], state.at(i)));
  }
  for (std::size_t i = 0; i < stacks.size(); ++i) {
    const std::int32_t out = instruction.outputs[carried + i];
    if (out < 0) continue;
    THIMBLE_ASSIGN(const Value all,
                   stacks[i].stacked(value(body.outputs[carried + 1 + i])->type, 0, false));
    THIMBLE_TRY(copy_to(out, all));
  }
  return ok();
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
                   Sequence::of(*inputs[carried + i], listed(instruction, "scan_input_axes", i),
                                listed(instruction, "scan_input_directions", i) == 1));
    if (sequence.length() != (i == 0 ? sequence : sequences[0]).length())
      return invalid_argument("a scan's inputs differ in length");
    sequences.push_back(std::move(sequence));
  }
  Carried state;
  for (std::size_t i = 0; i < carried; ++i)
    THIMBLE_TRY(state.take(*inputs[i], slot(instruction.inputs[i]).name));
  std::vector<Stack> stacks(body.outputs.size() - carried);
  for (std::int64_t round = 0; round < sequences[0].length(); ++round) {
    for (std::size_t i = 0; i < carried; ++i) THIMBLE_TRY(copy_to(body.inputs[i], state.at(i)));
    for (std::size_t i = 0; i < sequences.size(); ++i)
      THIMBLE_TRY(copy_to(body.inputs[carried + i], sequences[i].slice(round)));
    THIMBLE_TRY(run_region(index));
    THIMBLE_TRY(gather(*this, body.outputs, state, stacks));
  }
  for (std::size_t i = 0; i < instruction.outputs.size(); ++i) {
    const std::int32_t out = instruction.outputs[i];
    if (out < 0) continue;
    if (i < carried) {
      THIMBLE_TRY(copy_to(out, state.at(i)));
      continue;
    }
    const std::size_t s = i - carried;
    THIMBLE_ASSIGN(
        const Value all,
        stacks[s].stacked(value(body.outputs[i])->type, listed(instruction, "scan_output_axes", s),
                          listed(instruction, "scan_output_directions", s) == 1));
    THIMBLE_TRY(copy_to(out, all));
  }
  return ok();
}

}  // namespace thimble::runtime

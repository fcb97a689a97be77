#include "program/program.h"

#include <algorithm>
#include <utility>

#include "support/checked.h"

namespace thimble::program {
namespace {

constexpr std::size_t kMaxRank = 8;

Error broken(std::string message, const std::string& name) {
  return invalid_file(std::move(message)).at_tensor(name);
}

Status verify_size(const Program& program, const Size& size, const std::string& name) {
  int depth = 0;
  for (const SizeStep& step : size) {
    if (step.op > SizeStep::Op::kMax) return broken("a size has an unknown step", name);
    if (step.op == SizeStep::Op::kSymbol &&
        (step.value < 0 || step.value >= static_cast<std::int64_t>(program.symbols.size()))) {
      return broken("a size names a symbol that isn't there", name);
    }
    const bool pushes = step.op == SizeStep::Op::kConstant || step.op == SizeStep::Op::kSymbol;
    depth += pushes ? 1 : -1;
    if (depth < 1) return broken("a size takes more than there is", name);
  }
  return depth == 1 ? ok() : Status(broken("a size is not one number", name));
}

Status verify_slot(const Program& program, const Slot& slot) {
  if (slot.kind > Slot::Kind::kState || type_bytes(slot.type) == 0)
    return broken("a slot has an unknown kind or type", slot.name);
  if (slot.dims.size() > kMaxRank) return broken("a slot has more than 8 dimensions", slot.name);
  for (const Size& size : slot.dims) THIMBLE_TRY(verify_size(program, size, slot.name));
  const bool constant = slot.kind == Slot::Kind::kConstant;
  if (constant != (slot.tensor >= 0) ||
      slot.tensor >= static_cast<std::int32_t>(program.tensors.size())) {
    return broken("a slot names a tensor that isn't there", slot.name);
  }
  return ok();
}

Status verify_tensor(const Program& program, const Tensor& tensor) {
  if (tensor.layout > Layout::kCoded || tensor.zero > ZeroKind::kMinima)
    return broken("a tensor has an unknown layout", tensor.name);
  if (tensor.dims.size() > kMaxRank)
    return broken("a tensor has more than 8 dimensions", tensor.name);
  THIMBLE_ASSIGN(const std::vector<std::uint64_t> streams, stream_bytes(tensor));
  if (streams.size() != tensor.segments.size())
    return broken("a tensor has the wrong number of streams", tensor.name);
  for (std::size_t s = 0; s < streams.size(); ++s) {
    const std::int32_t index = tensor.segments[s];
    if (index < 0 || index >= static_cast<std::int32_t>(program.segments.size())) {
      return broken("a tensor names a segment that isn't there", tensor.name);
    }
    if (program.segment(index).size != streams[s]) {
      return broken("a segment's size isn't what the tensor's shape says", tensor.name);
    }
  }
  return ok();
}

// Absent inputs of the instructions whose inputs come in pairs or whose optional ones are in front.
bool may_be_absent(const Instruction& instruction, const OpRule& rule, std::size_t input) {
  if (instruction.op == Op::kLinear) return input > 0 && input % 2 == 0;
  if (instruction.op == Op::kLoop) return input < 2;
  return input >= rule.required && rule.required != kMany;
}

// A name for each slot that a region may read, and the proof that every slot is written once,
// before it is read, and that regions don't hold themselves.
class RegionVerifier {
 public:
  explicit RegionVerifier(const Program& program)
      : program_(program), ready_(program.slots.size()), visited_(program.regions.size()) {
    for (std::size_t i = 0; i < ready_.size(); ++i)
      ready_[i] = program.slots[i].kind != Slot::Kind::kActivation;
  }

  Status entry() {
    visited_[0] = true;
    THIMBLE_TRY(body(program_.regions[0]));
    return std::all_of(visited_.begin(), visited_.end(), [](bool seen) { return seen; })
               ? ok()
               : Status(invalid_file("a region is never used"));
  }

 private:
  bool is_slot(std::int32_t slot, std::int32_t least) const {
    return slot >= least && slot < static_cast<std::int32_t>(program_.slots.size());
  }

  Status body(const Region& region) {
    for (const Instruction& instruction : region.instructions) {
      THIMBLE_TRY(shape(instruction));
      THIMBLE_TRY(reads(instruction));
      for (const std::int32_t index : instruction.regions)
        THIMBLE_TRY(inner(index, instruction.name));
      for (const std::int32_t slot : instruction.outputs) {
        if (slot >= 0) THIMBLE_TRY(write(slot, instruction.name));
      }
    }
    for (const std::int32_t slot : region.outputs) {
      if (!is_slot(slot, 0) || !ready_[static_cast<std::size_t>(slot)])
        return invalid_file("an output is never computed");
    }
    return ok();
  }

  // What a body computes is its own: nobody reads it once the body has run.
  Status inner(std::int32_t index, const std::string& name) {
    if (index < 1 || index >= static_cast<std::int32_t>(program_.regions.size()) ||
        visited_[static_cast<std::size_t>(index)])
      return broken("an instruction names a body that isn't there or isn't its own", name);
    if (++depth_ > kMaxDepth) return broken("bodies are nested too deep", name);
    visited_[static_cast<std::size_t>(index)] = true;
    const Region& region = program_.region(index);
    std::vector<bool> outer = ready_;
    for (const std::int32_t slot : region.inputs) {
      if (!is_slot(slot, 0)) return broken("a body names a slot that isn't there", name);
      THIMBLE_TRY(write(slot, name));
    }
    THIMBLE_TRY(body(region));
    --depth_;
    for (std::size_t i = 0; i < ready_.size(); ++i) {
      if (ready_[i] && !outer[i]) local_.push_back(static_cast<std::int32_t>(i));
    }
    ready_ = std::move(outer);
    return ok();
  }

  Status shape(const Instruction& instruction) const {
    const OpRule* rule = find_rule(instruction.op);
    if (rule == nullptr) {
      return unsupported("instruction " + std::to_string(static_cast<int>(instruction.op)) +
                         " is not known")
          .at_tensor(instruction.name)
          .fix("the file may come from a newer version");
    }
    const std::size_t inputs = instruction.inputs.size(), outputs = instruction.outputs.size();
    const std::size_t least = rule->required == kMany ? 1 : rule->required;
    const std::size_t bodies = instruction.op == Op::kIf                                    ? 2
                               : instruction.op == Op::kLoop || instruction.op == Op::kScan ? 1
                                                                                            : 0;
    const bool no_results = instruction.op == Op::kIf || instruction.op == Op::kLoop;
    if (inputs < least || inputs > rule->max_inputs || outputs > rule->max_outputs ||
        (outputs == 0 && !no_results) || instruction.regions.size() != bodies) {
      return broken("an instruction has the wrong number of inputs or outputs", instruction.name);
    }
    if (instruction.op == Op::kLinear && inputs != 1 + 2 * outputs)
      return broken("a product's weights and results don't pair", instruction.name);
    return ok();
  }

  Status reads(const Instruction& instruction) const {
    const OpRule& rule = *find_rule(instruction.op);
    for (std::size_t i = 0; i < instruction.inputs.size(); ++i) {
      const std::int32_t slot = instruction.inputs[i];
      if (!is_slot(slot, may_be_absent(instruction, rule, i) ? -1 : 0))
        return broken("an instruction reads a slot that isn't there", instruction.name);
      if (slot >= 0 && !ready_[static_cast<std::size_t>(slot)])
        return broken("an instruction reads what isn't computed yet", instruction.name);
    }
    for (std::size_t i = 0; i < instruction.outputs.size(); ++i) {
      // A recurrent network may be asked for its last state alone.
      const bool recurrent =
          instruction.op == Op::kLstm || instruction.op == Op::kGru || instruction.op == Op::kRnn;
      const bool optional = (i > 0 || recurrent) && instruction.op != Op::kLinear;
      if (!is_slot(instruction.outputs[i], optional ? -1 : 0))
        return broken("an instruction writes a slot that isn't there", instruction.name);
    }
    return ok();
  }

  Status write(std::int32_t index, const std::string& name) {
    const auto slot = static_cast<std::size_t>(index);
    if (program_.slots[slot].kind != Slot::Kind::kActivation)
      return broken("an instruction writes an input or a constant", name);
    if (ready_[slot] || std::find(local_.begin(), local_.end(), index) != local_.end())
      return broken("a slot is written twice", name);
    ready_[slot] = true;
    return ok();
  }

  static constexpr int kMaxDepth = 32;
  const Program& program_;
  std::vector<bool> ready_;          // by slot
  std::vector<bool> visited_;        // by region
  std::vector<std::int32_t> local_;  // slots of bodies that were seen
  int depth_ = 0;
};

Status verify_segments(const Program& program, std::uint64_t file_bytes) {
  std::vector<const Segment*> sorted;
  for (const Segment& segment : program.segments) {
    if (segment.offset % 64 != 0)
      return invalid_file("a segment is not aligned").at_offset(segment.offset);
    if (!range_inside(segment.offset, segment.size, file_bytes))
      return invalid_file("a segment lies outside the file").at_offset(segment.offset);
    sorted.push_back(&segment);
  }
  std::sort(sorted.begin(), sorted.end(), [](const Segment* a, const Segment* b) {
    return std::pair(a->offset, a->size) < std::pair(b->offset, b->size);  // an empty one first
  });
  for (std::size_t i = 1; i < sorted.size(); ++i) {
    const Segment& before = *sorted[i - 1];
    const bool same = before.offset == sorted[i]->offset &&
                      before.size == sorted[i]->size;  // equal tensors are stored once
    if (!same && before.offset + before.size > sorted[i]->offset)
      return invalid_file("two segments overlap").at_offset(sorted[i]->offset);
  }
  return ok();
}

Status verify_state(const Program& program, const State& state) {
  const auto slots = static_cast<std::int32_t>(program.slots.size());
  if (state.kind > State::Kind::kCache || state.input < 0 || state.input >= slots ||
      state.output < 0 || state.output >= slots) {
    return invalid_file("a state names a slot that isn't there");
  }
  constexpr std::int64_t kMost = 1 << 20;
  if (program.slot(state.input).kind != Slot::Kind::kState)
    return broken("a state's input is of another kind", program.slot(state.input).name);
  if (state.kind == State::Kind::kCopy &&
      program.slot(state.output).kind != Slot::Kind::kActivation)
    return broken("a state's output isn't computed", program.slot(state.output).name);
  if (state.kind == State::Kind::kCache &&
      (state.heads < 1 || state.heads > kMost || state.head_dim < 1 || state.head_dim > kMost ||
       state.window < 0)) {
    return invalid_file("a cache has an impossible shape");
  }
  return ok();
}

// Whatever the entry reads without computing it has a value: inputs come with the call, states from
// the one before.
Status verify_bound(const Program& program) {
  std::vector<int> given(program.slots.size(), 0);
  for (const std::int32_t slot : program.regions[0].inputs) {
    const Slot::Kind kind = program.slot(slot).kind;
    if (kind == Slot::Kind::kInput)
      ++given[static_cast<std::size_t>(slot)];
    else if (kind != Slot::Kind::kState)
      return broken("an input is of another kind", program.slot(slot).name);
  }
  for (const State& state : program.states) ++given[static_cast<std::size_t>(state.input)];
  for (std::size_t i = 0; i < program.slots.size(); ++i) {
    const Slot& slot = program.slots[i];
    const bool needed = slot.kind == Slot::Kind::kInput || slot.kind == Slot::Kind::kState;
    if (needed && given[i] != 1) return broken("an input is given never or twice", slot.name);
  }
  for (const std::int32_t index : program.regions[0].outputs) {
    const Slot& slot = program.slot(index);
    if (slot.kind == Slot::Kind::kConstant &&
        program.tensor(slot.tensor).layout != Layout::kRowMajor) {
      return broken("a tensor in tiles can't be an output", slot.name);
    }
  }
  return ok();
}

// Caches have no plain data: attention alone reads and grows them.
Status verify_caches(const Program& program) {
  std::vector<bool> cached(program.slots.size(), false);
  for (const State& state : program.states) {
    if (state.kind != State::Kind::kCache) continue;
    for (const std::int32_t slot : {state.input, state.output}) {
      if (cached[static_cast<std::size_t>(slot)])
        return broken("a cache is named twice", program.slot(slot).name);
      if (program.slot(slot).dims.size() != 4)
        return broken("a cache has four dimensions", program.slot(slot).name);
      cached[static_cast<std::size_t>(slot)] = true;
    }
  }
  for (const Region& region : program.regions) {
    for (const Instruction& i : region.instructions) {
      const bool attends = i.op == Op::kAttention;
      const bool grows = attends && i.inputs.size() == 6 && i.inputs[4] >= 0 && i.inputs[5] >= 0;
      for (std::size_t n = 0; n < i.inputs.size(); ++n) {
        if (i.inputs[n] < 0) continue;
        const bool wanted = attends && n >= 4;
        if (cached[static_cast<std::size_t>(i.inputs[n])] != wanted || (wanted && !grows))
          return broken("an instruction can't read a cache here", i.name);
      }
      for (std::size_t n = 0; n < i.outputs.size(); ++n) {
        const bool is_cache = i.outputs[n] >= 0 && cached[static_cast<std::size_t>(i.outputs[n])];
        if (is_cache && !(grows && n >= 1))
          return broken("an instruction can't write a cache here", i.name);
        if (attends && n >= 1 && i.outputs[n] >= 0 && !is_cache)
          return broken("attention's keys and values must go to a cache", i.name);
      }
    }
  }
  return ok();
}

}  // namespace

const Attribute* Instruction::find(std::string_view attribute) const {
  const auto at = std::find_if(attributes.begin(), attributes.end(),
                               [&](const Attribute& a) { return a.name == attribute; });
  return at == attributes.end() ? nullptr : &*at;
}
std::int64_t Instruction::integer(std::string_view attribute, std::int64_t fallback) const {
  const Attribute* found = find(attribute);
  return found != nullptr && !found->ints.empty() ? found->ints.front() : fallback;
}
float Instruction::real(std::string_view attribute, float fallback) const {
  const Attribute* found = find(attribute);
  return found != nullptr && !found->floats.empty() ? found->floats.front() : fallback;
}

std::string_view Instruction::text(std::string_view attribute, std::string_view fallback) const {
  const Attribute* found = find(attribute);
  return found != nullptr && !found->text.empty() ? std::string_view(found->text) : fallback;
}

Status verify(const Program& program, std::uint64_t file_bytes) {
  if (program.task > Task::kEmbed || program.cache > CacheType::kInt4 ||
      program.value_cache.value_or(CacheType::kF32) > CacheType::kInt4 || program.max_context < 0)
    return invalid_file("the program's settings are damaged");
  if (program.regions.empty()) return invalid_file("the program has no region");
  THIMBLE_TRY(verify_segments(program, file_bytes));
  for (const Tensor& tensor : program.tensors) THIMBLE_TRY(verify_tensor(program, tensor));
  for (const Slot& slot : program.slots) THIMBLE_TRY(verify_slot(program, slot));
  for (const std::int32_t slot : program.regions[0].inputs) {
    if (slot < 0 || slot >= static_cast<std::int32_t>(program.slots.size()))
      return invalid_file("a region names a slot that isn't there");
  }
  THIMBLE_TRY(RegionVerifier(program).entry());
  for (const State& state : program.states) THIMBLE_TRY(verify_state(program, state));
  THIMBLE_TRY(verify_bound(program));
  return verify_caches(program);
}

Expected<std::int64_t> evaluate(const Size& size, const std::vector<std::int64_t>& symbols) {
  constexpr std::size_t kMaxDepth = 64;
  std::array<std::int64_t, kMaxDepth> stack;
  std::size_t depth = 0;
  const auto bad = [] { return invalid_argument("a size overflows or is negative"); };
  for (const SizeStep& step : size) {
    if (step.op == SizeStep::Op::kConstant || step.op == SizeStep::Op::kSymbol) {
      if (depth == kMaxDepth) return bad();
      stack[depth++] = step.op == SizeStep::Op::kConstant
                           ? step.value
                           : symbols[static_cast<std::size_t>(step.value)];
      continue;
    }
    const std::int64_t b = stack[depth - 1], a = stack[depth - 2];
    --depth;
    std::optional<std::int64_t> result;
    switch (step.op) {
      case SizeStep::Op::kAdd:
        result = checked_add(a, b);
        break;
      case SizeStep::Op::kMultiply:
        result = checked_mul(a, b);
        break;
      case SizeStep::Op::kFloorDivide:
        result = b > 0 && a >= 0 ? std::optional(a / b) : std::nullopt;
        break;
      default:
        result = std::max(a, b);
        break;
    }
    if (!result) return bad();
    stack[depth - 1] = *result;
  }
  if (stack[0] < 0) return bad();
  return stack[0];
}

}  // namespace thimble::program

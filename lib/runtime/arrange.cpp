// How large activations are in a call, and where they lie.

#include <algorithm>
#include <optional>

#include "runtime/ops/operands.h"
#include "runtime/plan.h"
#include "runtime/state.h"
#include "support/checked.h"

namespace thimble::runtime {
namespace {

using program::Slot;

constexpr std::uint64_t kMostValueBytes = std::uint64_t{1} << 46;

}  // namespace

// True when some dims differ from those of the call before. Caches lie outside the arena: theirs
// may grow.
Expected<bool> Session::State::size_activations() {
  bool changed = false;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const Slot& described = program().slots[i];
    if (described.kind != Slot::Kind::kActivation || described.dynamic) continue;
    Value& value = values[i];
    changed |= value.dims.size() != described.dims.size();
    value.dims.resize(described.dims.size());
    for (std::size_t d = 0; d < value.dims.size(); ++d) {
      THIMBLE_ASSIGN(const std::int64_t dim, program::evaluate(described.dims[d], symbols));
      changed |= dim != value.dims[d] && !value.cached;
      value.dims[d] = dim;
    }
  }
  return changed;
}

// What Concat puts together end to end is written where the result has it.
void Session::State::join_parts(Planner& planner) const {
  for (const Bound& bound : regions[0]) {
    const Call& call = bound.call;
    if (!bound.planned || call.instruction.op != program::Op::kConcat) continue;
    const Dims& dims = call.outputs[0]->dims;
    const auto axis = axis_at(call.instruction.integer("axis", 0), dims.size());
    if (!axis || product_of(dims, 0, *axis) != 1) continue;
    std::uint64_t offset = 0;
    for (std::size_t i = 0; i < call.inputs.size(); ++i) {
      planner.put_within(call.instruction.inputs[i], call.instruction.outputs[0], offset);
      const Value& part = *call.inputs[i];
      offset += static_cast<std::uint64_t>(part.count() * program::type_bytes(part.type));
    }
  }
}

Status Session::State::plan() {
  // Dims are functions of the symbols; only caches change beside them.
  if (planned && caches.empty() && symbols == planned_symbols) return ok();
  planned_symbols = symbols;
  THIMBLE_ASSIGN(const bool changed, size_activations());
  for (Bound& bound : regions[0]) {
    Call& call = bound.call;
    call.past = past;
    if (!bound.planned) continue;
    if (!planned || changed || call.keys != nullptr) {
      if (Status status = check_call(call); !status)
        return std::move(status).error().at_tensor(call.instruction.name);
    }
  }
  if (planned && !changed) return ok();
  planned = false;
  Planner planner(program(), program().regions[0]);
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::optional<std::uint64_t> bytes =
        static_cast<std::uint64_t>(program::type_bytes(values[i].type));
    for (const std::int64_t dim : values[i].dims)
      bytes = bytes ? checked_mul(*bytes, static_cast<std::uint64_t>(dim)) : bytes;
    if (!bytes || *bytes > kMostValueBytes)
      return Error(ErrorCode::kResource, "a value would be too large")
          .at_tensor(program().slots[i].name);
    planner.set_bytes(static_cast<std::int32_t>(i), *bytes);
    if (values[i].cached || program().slots[i].dynamic)
      planner.keep_out(static_cast<std::int32_t>(i));
  }
  join_parts(planner);
  const Plan plan = planner.make();
  std::size_t shared = 0;
  for (const Bound& bound : regions[0]) {
    if (bound.planned && bound.op->scratch != nullptr)
      shared = std::max(shared, Memory::aligned(bound.op->scratch(bound.call)));
  }
  const std::size_t total = plan.bytes + shared;
  if (total > arena.size() || arena.size() == 0) THIMBLE_TRY(arena.allocate(total));
  memory.activations = std::max<std::uint64_t>(memory.activations, total);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (plan.offset[i] != Plan::kNone) values[i].data = arena.data() + plan.offset[i];
  }
  aliases = plan.aliases;
  for (Bound& bound : regions[0]) {
    if (bound.planned) bound.call.scratch = {arena.data() + plan.bytes, shared};
  }
  planned = true;
  return ok();
}

}  // namespace thimble::runtime

#include "runtime/session.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "runtime/by_dims.h"
#include "runtime/ops/ops.h"
#include "runtime/state.h"
#include "runtime/widen.h"
#include "support/checked.h"
#include "support/text.h"

namespace thimble::runtime {
namespace {

using program::Slot;

Error bad_input(const std::string& name, std::string message) {
  return invalid_argument("input '" + name + "': " + std::move(message));
}

// Does attention read its values from this cache?
bool holds_values(const program::Program& program, std::int32_t input_slot) {
  for (const program::Region& region : program.regions) {
    for (const program::Instruction& i : region.instructions) {
      if (i.op == program::Op::kAttention && i.inputs.size() > 5 && i.inputs[5] == input_slot)
        return true;
    }
  }
  return false;
}

// By slot: do convolutions in f32 read it, other than as their image?
std::vector<bool> kernels_of(const program::Program& program) {
  std::vector<bool> found(program.slots.size());
  for (const program::Region& region : program.regions) {
    for (const program::Instruction& i : region.instructions) {
      const bool convolves = i.op == program::Op::kConv || i.op == program::Op::kConvTranspose;
      if (convolves && i.inputs[1] >= 0) found[static_cast<std::size_t>(i.inputs[1])] = true;
    }
  }
  return found;
}

kernels::FloatType float_type(program::Type type) {
  switch (type) {
    case program::Type::kF16:
      return kernels::FloatType::kF16;
    case program::Type::kBF16:
      return kernels::FloatType::kBF16;
    case program::Type::kF8E8M0:
      return kernels::FloatType::kE8M0;
    case program::Type::kF8E4M3FN:
      return kernels::FloatType::kE4M3;
    default:
      return kernels::FloatType::kF32;
  }
}

}  // namespace

kernels::GroupedWeight grouped_view(const program::Tensor& tensor, const program::Bundle& bundle) {
  kernels::GroupedWeight w;
  w.rows = tensor.rows;
  w.inputs = tensor.inputs;
  w.bits = tensor.bits;
  w.group_size = tensor.group_size;
  w.scale_type = float_type(tensor.type);
  w.scale_exponent = tensor.scale_exponent;
  w.zero = static_cast<kernels::ZeroKind>(tensor.zero);
  w.constant_zero = tensor.constant_zero;
  auto stream = [&](std::size_t i) {
    return bundle.segments[static_cast<std::size_t>(tensor.segments[i])].data();
  };
  w.codes = reinterpret_cast<const std::uint8_t*>(stream(0));
  w.scales = stream(1);
  std::size_t next = 2;
  if (tensor.zero != program::ZeroKind::kConstant) w.zeros = stream(next++);
  if (!tensor.table.empty()) w.table = tensor.table.data();
  if (tensor.super_size == 0) return w;
  w.super_size = tensor.super_size;
  w.sub_bits = tensor.sub_bits;
  w.sub_zero = tensor.sub_zero;
  w.sub_scales = reinterpret_cast<const std::uint8_t*>(stream(next++));
  if (tensor.zero == program::ZeroKind::kMinima)
    w.sub_minima = reinterpret_cast<const std::uint8_t*>(stream(next));
  return w;
}

// Sizes that a file asks for may have a product of more than 64 bits. It must not wrap to a count
// that fits some tensor; the largest number fits none.
std::int64_t count_of(const Dims& dims) {
  std::int64_t count = 1;
  for (const std::int64_t dim : dims) {
    if (dim == 0) return 0;
    count = checked_mul(count, dim).value_or(std::numeric_limits<std::int64_t>::max());
  }
  return count;
}

std::int64_t TensorView::count() const { return count_of(dims); }

Status Session::State::prepare() {
  values.resize(program().slots.size());
  symbols.assign(program().symbols.size(), -1);
  for (std::size_t i = 0; i < values.size(); ++i) values[i].type = program().slots[i].type;
  own.resize(values.size());
  THIMBLE_TRY(prepare_constants());
  THIMBLE_TRY(prepare_caches());
  return prepare_calls();
}

Status Session::State::prepare_constants() {
  const std::vector<bool> convolves = kernels_of(program());
  for (const auto& segment : bundle.segments) memory.weights += segment.size();
  for (std::size_t i = 0; i < values.size(); ++i) {
    const Slot& described = program().slots[i];
    if (described.kind != Slot::Kind::kConstant) continue;
    const program::Tensor& tensor = program().tensor(described.tensor);
    Value& value = values[i];
    value.dims = tensor.dims;
    if (tensor.layout == program::Layout::kTiles && convolves[i]) {
      THIMBLE_TRY(decode_constant(i));
    } else if (tensor.layout == program::Layout::kTiles) {
      value.tensor = &tensor;
      value.grouped = grouped_view(tensor, bundle);
    } else {
      if (tensor.layout != program::Layout::kRowMajor) value.tensor = &tensor;
      const auto elements = bundle.segments[static_cast<std::size_t>(tensor.segments[0])];
      if (described.type == program::Type::kF32 && is_narrow(tensor.type)) {
        THIMBLE_TRY(widen_constant(i, elements));
        continue;
      }
      value.type = tensor.type;
      value.data = const_cast<std::byte*>(elements.data());
    }
  }
  return ok();
}

// The kernels of convolutions and recurrent networks read f32 alone: widening or decoding once
// costs memory, but no time in a run.
Status Session::State::widen_constant(std::size_t slot, std::span<const std::byte> narrow) {
  const program::Type type = program().tensor(program().slots[slot].tensor).type;
  const std::size_t count = narrow.size() / sizeof(std::uint16_t);
  THIMBLE_TRY(own[slot].allocate(count * sizeof(float)));
  auto* to = reinterpret_cast<float*>(own[slot].data());
  const auto* from = reinterpret_cast<const std::uint16_t*>(narrow.data());
  machine.pool.parallel_for(count, 4096, [&](std::size_t begin, std::size_t end) {
    widen(type, from + begin, static_cast<std::int64_t>(end - begin), to + begin);
  });
  values[slot].data = to;
  memory.weights += own[slot].size();
  return ok();
}

Status Session::State::decode_constant(std::size_t slot) {
  const program::Tensor& tensor = program().tensor(program().slots[slot].tensor);
  const kernels::GroupedWeight tiles = grouped_view(tensor, bundle);
  const auto rows = static_cast<std::size_t>(tensor.rows);
  const auto inputs = static_cast<std::size_t>(tensor.inputs);  // checked: their product is, too
  THIMBLE_TRY(own[slot].allocate(rows * inputs * sizeof(float)));
  auto* to = reinterpret_cast<float*>(own[slot].data());
  machine.pool.parallel_for(rows, 16, [&](std::size_t begin, std::size_t end) {
    for (std::size_t row = begin; row < end; ++row)
      kernels::decode_grouped_row(tiles, static_cast<std::int64_t>(row), to + row * inputs);
  });
  values[slot].data = to;
  memory.weights += own[slot].size();
  return ok();
}

Status Session::State::prepare_caches() {
  const bool own = !options.cache_from_program;
  const program::CacheType key_type = own ? options.cache : program().cache;
  const program::CacheType value_type =
      (own ? options.value_cache : program().value_cache).value_or(key_type);
  capacity = options.max_context > 0     ? options.max_context
             : program().max_context > 0 ? program().max_context
                                         : 4096;
  const std::int64_t most = options.max_tokens > 0 ? options.max_tokens : kMostTokens;
  for (const program::State& state : program().states) {
    if (state.kind != program::State::Kind::kCache) {
      copies.emplace_back();
      continue;
    }
    Cache cache;
    cache.input = state.input;
    cache.output = state.output;
    // A window needs its own positions and those of a whole chunk that is stored before it is read.
    const std::int64_t needed =
        state.window > 0 ? std::min(capacity, state.window + most) : capacity;
    const auto kind = static_cast<kernels::CacheType>(
        holds_values(program(), state.input) ? value_type : key_type);
    // Heads and dims are at most 2^20 each (program::verify).
    if (needed > (std::int64_t{1} << 46) / (state.heads * (state.head_dim + 16) * 4))
      return Error(ErrorCode::kResource, "the cache would be too large")
          .fix("use a shorter context");
    const std::size_t bytes = kernels::cache_bytes(kind, state.heads, needed, state.head_dim);
    THIMBLE_TRY(cache.memory.allocate(bytes));
    memory.caches += bytes;
    cache.view =
        kernels::cache_over(cache.memory.data(), kind, state.heads, needed, state.head_dim);
    value(cache.input)->cached = value(cache.output)->cached = true;
    caches.push_back(std::move(cache));
  }
  return ok();
}

Cache* Session::State::cache_of(std::int32_t input_slot) {
  for (Cache& cache : caches) {
    if (cache.input == input_slot) return &cache;
  }
  return nullptr;
}

Status Session::State::prepare_calls() {
  for (const program::Region& region : program().regions) {
    regions.emplace_back();
    for (const program::Instruction& instruction : region.instructions) {
      THIMBLE_ASSIGN(Bound bound, bind_call(instruction));
      regions.back().push_back(std::move(bound));
    }
  }
  return ok();
}

namespace {

bool is_control(program::Op op) {
  return op == program::Op::kIf || op == program::Op::kLoop || op == program::Op::kScan;
}

// Those whose slots have planned dims where all are known; the others look at their inputs first.
bool is_planned_kind(program::Op op) { return op < program::Op::kClip; }

}  // namespace

Expected<Session::State::Bound> Session::State::bind_call(const program::Instruction& instruction) {
  Bound bound{Call{instruction, machine, {}, {}, {}}, find_operator(instruction.op)};
  Call& call = bound.call;
  if (bound.op == nullptr && !is_control(instruction.op))
    return unsupported("this build lacks the instruction " +
                       std::string(program::find_rule(instruction.op)->name))
        .at_tensor(instruction.name);
  for (const auto* list : {&instruction.inputs, &instruction.outputs}) {
    for (const std::int32_t index : *list) {
      (list == &instruction.inputs ? call.inputs : call.outputs).push_back(value(index));
      if (index >= 0 && slot(index).dynamic) bound.planned = false;
    }
  }
  bound.by_dims = depends_on_dims(instruction, program());
  const bool plannable = bound.op != nullptr && is_planned_kind(instruction.op);
  if (!plannable) bound.planned = false;
  if (!bound.planned && bound.op != nullptr && bound.op->shape == nullptr)
    return unsupported("an instruction needs sizes that are known only as they are computed")
        .at_tensor(instruction.name);
  if (instruction.op == program::Op::kAttention && instruction.inputs.size() > 5 &&
      instruction.inputs[4] >= 0) {
    call.keys = cache_of(instruction.inputs[4]);
    call.values = cache_of(instruction.inputs[5]);
    if (call.keys == nullptr || call.values == nullptr)
      return invalid_file("attention reads a cache that isn't there").at_tensor(instruction.name);
  }
  return bound;
}

// A dim that is one symbol binds it; every other one must come out right.
namespace {

struct Multiple {
  std::int64_t times, symbol;
};
// Of a size that says what a symbol is: one, alone or times a constant. A batch may go into a
// product with the heads before a part of a graph begins.
std::optional<Multiple> multiple_of_symbol(const program::Size& size) {
  using Op = program::SizeStep::Op;
  if (size.size() == 1 && size[0].op == Op::kSymbol) return Multiple{1, size[0].value};
  const bool product = size.size() == 3 && size[0].op == Op::kConstant && size[0].value > 0 &&
                       size[1].op == Op::kSymbol && size[2].op == Op::kMultiply;
  return product ? std::optional<Multiple>({size[0].value, size[1].value}) : std::nullopt;
}

}  // namespace

Status Session::State::bind_dims(std::int32_t index, const Dims& dims) {
  const Slot& described = slot(index);
  if (described.dynamic) return ok();
  if (dims.size() != described.dims.size()) {
    return bad_input(described.name, "has " + std::to_string(dims.size()) + " dimensions, not " +
                                         std::to_string(described.dims.size()));
  }
  for (std::size_t d = 0; d < dims.size(); ++d) {
    const auto multiple = multiple_of_symbol(described.dims[d]);
    if (!multiple || dims[d] % multiple->times != 0)
      continue;  // check_inputs tells what doesn't fit
    const std::int64_t dim = dims[d] / multiple->times;
    std::int64_t& bound = symbols[static_cast<std::size_t>(multiple->symbol)];
    if (bound >= 0 && bound != dim) {
      return bad_input(described.name,
                       "is " + format_dims(dims) + ", but '" +
                           program().symbols[static_cast<std::size_t>(multiple->symbol)] + "' is " +
                           std::to_string(bound) + " elsewhere");
    }
    bound = dim;
  }
  return ok();
}

Status Session::State::bind_input(std::int32_t index, const TensorView& view) {
  const Slot& described = slot(index);
  if (view.type != described.type) {
    return bad_input(described.name, "is " + std::string(program::type_name(view.type)) + ", not " +
                                         std::string(program::type_name(described.type)));
  }
  THIMBLE_TRY(bind_dims(index, view.dims));
  Value& into = values[static_cast<std::size_t>(index)];
  into.dims = view.dims;
  into.data = const_cast<void*>(view.data);
  return ok();
}

Status Session::State::bind(std::span<const TensorView> inputs) {
  std::fill(symbols.begin(), symbols.end(), -1);
  std::size_t next = 0;
  for (const std::int32_t index : program().regions[0].inputs) {
    if (slot(index).kind == Slot::Kind::kState) continue;
    if (next == inputs.size())
      return invalid_argument("the model takes more inputs than were given");
    THIMBLE_TRY(bind_input(index, inputs[next++]));
  }
  if (next != inputs.size())
    return invalid_argument("the model takes fewer inputs than were given");
  for (const Cache& cache : caches) {
    const Slot& described = slot(cache.input);
    if (described.dims.size() != 4)
      return invalid_file("a cache has four dimensions").at_tensor(described.name);
    Dims dims(4);
    for (std::size_t d = 0; d < 4; ++d) {
      if (d == 2) {
        dims[d] = past;
        continue;
      }
      const auto known = program::evaluate(described.dims[d], symbols);
      dims[d] = known ? *known : 1;
    }
    THIMBLE_TRY(bind_dims(cache.input, dims));
    values[static_cast<std::size_t>(cache.input)].dims = dims;
  }
  std::size_t copy = 0;
  for (const program::State& state : program().states) {
    if (state.kind != program::State::Kind::kCopy) continue;
    std::vector<std::byte>& held = copies[copy++];
    Value& into = values[static_cast<std::size_t>(state.input)];
    into.dims.clear();
    for (const program::Size& size : slot(state.input).dims) {
      THIMBLE_ASSIGN(const std::int64_t dim, program::evaluate(size, symbols));
      into.dims.push_back(dim);
    }
    held.resize(static_cast<std::size_t>(into.count() * program::type_bytes(into.type)));
    into.data = held.data();
  }
  for (std::size_t s = 0; s < symbols.size(); ++s) {
    if (symbols[s] < 0)
      return invalid_file("size '" + program().symbols[s] + "' is set by no input");
  }
  return ok();
}

// A dim of an input that is more than one symbol was not bound by it, so it may be anything until
// now.
Status Session::State::check_inputs() {
  for (const std::int32_t index : program().regions[0].inputs) {
    const Slot& described = slot(index);
    if (described.kind != Slot::Kind::kInput || described.dynamic) continue;
    const Dims& given = values[static_cast<std::size_t>(index)].dims;
    for (std::size_t d = 0; d < given.size(); ++d) {
      const auto expected = program::evaluate(described.dims[d], symbols);
      if (!expected) return bad_input(described.name, expected.error().message);
      if (*expected != given[d])
        return bad_input(described.name, "is " + format_dims(given) + ", but its size " +
                                             std::to_string(d) + " must be " +
                                             std::to_string(*expected));
    }
  }
  return ok();
}

// What a state keeps is what it gives back.
Status Session::State::check_room() {
  if (caches.empty()) return ok();
  const Slot& grown = slot(caches.front().output);
  if (grown.dims.size() != 4)
    return invalid_file("a cache has four dimensions").at_tensor(grown.name);
  THIMBLE_ASSIGN(const std::int64_t after, program::evaluate(grown.dims[2], symbols));
  if (after <= capacity) return ok();
  return invalid_argument("the context is full: " + std::to_string(capacity) + " positions")
      .fix("allow more: with --context, or max_context in the C interface");
}

Status Session::State::check_copies() {
  for (const program::State& state : program().states) {
    if (state.kind != program::State::Kind::kCopy) continue;
    const Value &from = *value(state.output), &to = *value(state.input);
    if (from.type != to.type || from.dims != to.dims)
      return invalid_file("a state changes its shape").at_tensor(slot(state.input).name);
  }
  return ok();
}

void Session::State::finish() {
  outputs.clear();
  for (const std::int32_t index : program().regions[0].outputs) {
    const Value& v = *value(index);
    outputs.push_back({v.type, v.dims, v.data});
  }
  if (!caches.empty()) past = value(caches.front().output)->dims[2];
  std::size_t copy = 0;
  for (const program::State& state : program().states) {
    if (state.kind != program::State::Kind::kCopy) continue;
    const Value& from = *value(state.output);
    std::memmove(copies[copy++].data(), from.data,
                 static_cast<std::size_t>(from.count() * program::type_bytes(from.type)));
  }
}

Expected<std::unique_ptr<Session>> Session::create(const program::Bundle& bundle, ThreadPool& pool,
                                                   const SessionOptions& options) {
  THIMBLE_ASSIGN(const kernels::Isa isa, kernels::active_isa());
  auto state = std::make_unique<State>(bundle, pool, options, isa);
  THIMBLE_TRY(state->prepare());
  return std::unique_ptr<Session>(new Session(std::move(state)));
}

Session::Session(std::unique_ptr<State> state) : state_(std::move(state)) {}
Session::~Session() = default;

Status Session::run(std::span<const TensorView> inputs) {
  THIMBLE_TRY(state_->bind(inputs));
  THIMBLE_TRY(state_->check_inputs());
  THIMBLE_TRY(state_->check_room());
  THIMBLE_TRY(state_->plan());
  THIMBLE_TRY(state_->check_copies());
  THIMBLE_TRY(state_->execute());
  state_->finish();
  return ok();
}

void Session::stop() { state_->stopping.store(true, std::memory_order_relaxed); }

const std::vector<TensorView>& Session::outputs() const { return state_->outputs; }
std::int64_t Session::cached() const { return state_->past; }
std::int64_t Session::capacity() const { return state_->capacity; }

Status Session::truncate(std::int64_t positions) {
  if (positions > state_->past || positions < 0)
    return invalid_argument("there are only " + std::to_string(state_->past) + " positions");
  for (const Cache& cache : state_->caches) {
    // A ring has overwritten what lies further back than its capacity.
    if (cache.view.capacity < state_->past && positions != state_->past)
      return unsupported("a sliding window can't be wound back").fix("reset it");
  }
  state_->past = positions;
  return ok();
}

void Session::reset() {
  state_->past = 0;
  for (auto& held : state_->copies) std::fill(held.begin(), held.end(), std::byte{0});
}

void Session::set_observer(Observer observer) { state_->observer = std::move(observer); }
const MemoryPlan& Session::memory() const { return state_->memory; }
const program::Bundle& Session::bundle() const { return state_->bundle; }

void Session::enable_profile() {
  state_->profiling = true;
  state_->profiles.clear();
  for (auto& region : state_->regions) {
    for (State::Bound& bound : region) {
      const program::Instruction& instruction = bound.call.instruction;
      bound.profile = state_->profiles.size();
      state_->profiles.push_back(
          {program::find_rule(instruction.op)->name, instruction.name, 0, 0});
    }
  }
}
std::vector<Session::Profile> Session::profile() const { return state_->profiles; }

}  // namespace thimble::runtime

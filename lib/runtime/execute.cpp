// Runs the instructions of a region, in order.

#include <chrono>
#include <cstring>

#include "runtime/ops/ops.h"
#include "runtime/state.h"
#include "support/checked.h"

namespace thimble::runtime {
namespace {

Expected<std::size_t> bytes_for(program::Type type, const Dims& dims, std::uint64_t most) {
  std::optional<std::uint64_t> bytes = static_cast<std::uint64_t>(program::type_bytes(type));
  for (const std::int64_t dim : dims) {
    if (dim < 0) return invalid_argument("a size is negative");
    bytes = bytes ? checked_mul(*bytes, static_cast<std::uint64_t>(dim)) : bytes;
  }
  if (!bytes || *bytes > most) {
    return Error(ErrorCode::kResource, "a value would be too large")
        .fix("use smaller inputs, or a machine with more memory");
  }
  return static_cast<std::size_t>(*bytes);
}

}  // namespace

Status Session::State::execute() {
  // Inputs may lie elsewhere than in the call before.
  for (const auto& [to, from] : aliases)
    values[static_cast<std::size_t>(to)].data = values[static_cast<std::size_t>(from)].data;
  return run_region(0);
}

Status Session::State::check_stopped() {
  if (!system::interrupted() && !stopping.load(std::memory_order_relaxed)) return ok();
  stopping.store(false, std::memory_order_relaxed);
  return Error(ErrorCode::kInterrupted, "interrupted");
}

Status Session::State::run_region(std::int32_t region) {
  THIMBLE_TRY(check_stopped());  // a body may be empty
  for (Bound& bound : regions[static_cast<std::size_t>(region)]) {
    const auto start =
        profiling ? std::chrono::steady_clock::now() : std::chrono::steady_clock::time_point();
    if (Status status = run_bound(bound); !status) {
      if (status.error().code == ErrorCode::kInterrupted) return status;
      return std::move(status).error().note("in '" + bound.call.instruction.name + "'");
    }
    if (profiling) {
      profiles[bound.profile].calls += 1;
      profiles[bound.profile].seconds +=
          std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    }
    if (!observer) continue;
    for (const std::int32_t index : bound.call.instruction.outputs) {
      if (index < 0 || value(index)->data == nullptr) continue;
      observer(index, {value(index)->type, value(index)->dims, value(index)->data});
    }
  }
  return ok();
}

Status Session::State::run_bound(Bound& bound) {
  if (bound.op == nullptr) return run_control(bound);
  return bound.planned ? bound.op->run(bound.call) : run_found(bound);
}

Status Session::State::run_found(Bound& bound) {
  if (!bound.by_dims || !is_found(bound)) THIMBLE_TRY(find(bound));
  return bound.op->run(bound.call);
}

Status Session::State::find(Bound& bound) {
  Call& call = bound.call;
  THIMBLE_TRY(check_operands(call));
  bound.results.assign(call.outputs.size(), {});
  THIMBLE_TRY(bound.op->shape(call, bound.results));
  for (std::size_t i = 0; i < call.outputs.size(); ++i) {
    if (call.outputs[i] != nullptr)
      THIMBLE_TRY(resize(call.instruction.outputs[i], std::move(bound.results[i])));
  }
  THIMBLE_TRY(check_call(call));
  const std::size_t bytes = bound.op->scratch != nullptr ? bound.op->scratch(call) : 0;
  if (bytes > scratch.size()) {
    THIMBLE_TRY(scratch.allocate(bytes));
    memory.scratch = bytes;
  }
  call.scratch = {scratch.data(), bytes};
  if (bound.by_dims) remember(bound);
  return ok();
}

bool Session::State::is_found(Bound& bound) {
  Call& call = bound.call;
  if (bound.seen.empty()) return false;
  auto seen = bound.seen.begin();
  for (const Value* input : call.inputs) {
    if (input != nullptr && input->dims != *seen++) return false;
  }
  for (std::size_t i = 0; i < call.outputs.size(); ++i) {
    const Value* output = call.outputs[i];
    if (output == nullptr) continue;
    const auto index = static_cast<std::size_t>(call.instruction.outputs[i]);
    const bool moved =
        slot(call.instruction.outputs[i]).dynamic && output->data != own[index].data();
    if (moved || output->dims != *seen++) return false;
  }
  call.scratch = {scratch.data(),
                  call.scratch.size()};  // another instruction may have asked for more
  return true;
}

void Session::State::remember(Bound& bound) {
  bound.seen.clear();
  for (const auto* list : {&bound.call.inputs, &bound.call.outputs}) {
    for (const Value* one : *list) {
      if (one != nullptr) bound.seen.push_back(one->dims);
    }
  }
}

Status Session::State::resize(std::int32_t index, Dims dims) {
  Value& into = values[static_cast<std::size_t>(index)];
  const program::Slot& described = slot(index);
  if (!described.dynamic) {
    if (into.dims == dims) return ok();
    return invalid_argument("the result's shape isn't the one that was planned")
        .at_tensor(described.name);
  }
  auto bytes = bytes_for(into.type, dims, options.max_value_bytes);
  if (!bytes) return std::move(bytes).error().at_tensor(described.name);
  Memory& memory_of = own[static_cast<std::size_t>(index)];
  if (memory_of.size() < *bytes || memory_of.size() == 0) {
    memory.found += *bytes - memory_of.size();
    THIMBLE_TRY(memory_of.allocate(std::max<std::size_t>(*bytes, 8)));
  }
  into.dims = std::move(dims);
  into.data = memory_of.data();
  return ok();
}

Status Session::State::copy_to(std::int32_t index, const Value& from) {
  Value& into = values[static_cast<std::size_t>(index)];
  if (from.type != into.type || from.tensor != nullptr || from.cached)
    return invalid_file("a body's value has another type").at_tensor(slot(index).name);
  THIMBLE_TRY(resize(index, from.dims));
  if (from.data != into.data && from.count() > 0) {
    std::memmove(into.data, from.data,
                 static_cast<std::size_t>(from.count() * program::type_bytes(from.type)));
  }
  return ok();
}

}  // namespace thimble::runtime

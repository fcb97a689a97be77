#pragma once
// What a session holds between calls; session.cpp binds and plans, execute.cpp runs.

#include <atomic>

#include "runtime/session.h"
#include "runtime/values.h"
#include "support/system.h"

namespace thimble::runtime {

class Planner;

struct Session::State {
  State(const program::Bundle& b, ThreadPool& pool, const SessionOptions& o, kernels::Isa isa)
      : bundle(b),
        options(o),
        machine{pool,
                kernels::linear_kernels(isa),
                kernels::row_kernels(isa),
                kernels::attention_kernels(isa),
                kernels::convolve_kernels(isa),
                kernels::coded_kernels(isa),
                o.float_activations} {
    if (options.max_value_bytes == 0) options.max_value_bytes = system::memory_limit();
  }

  // One instruction bound to its values. `planned`: every slot has dims that are known from the
  // inputs' alone, and was checked when they were.
  struct Bound {
    Call call;
    const Operator* op = nullptr;  // null: control flow
    bool planned = true;
    std::size_t profile = 0;  // index into `profiles`
    std::vector<Dims> results = {};
    // Sizes and checks depend on the inputs' dims alone, and `seen` are those of the call before,
    // the results' after them.
    bool by_dims = false;
    std::vector<Dims> seen = {};
  };

  const program::Bundle& bundle;
  SessionOptions options;
  Machine machine;
  std::vector<Value> values;  // by slot
  // By slot: of values whose dims are found as they go, and of constants that lie narrower in the
  // file than they are computed with.
  std::vector<Memory> own;
  std::vector<std::vector<Bound>> regions;  // by region
  std::vector<Cache> caches;
  std::vector<std::vector<std::byte>> copies;  // by State of kind kCopy: what the input holds
  std::vector<std::int64_t> symbols, planned_symbols;  // of this call, and of the plan's
  Memory arena;
  Memory scratch;        // of instructions that aren't planned
  bool planned = false;  // do the plan and the checks fit the dims of the call before?
  std::int64_t past = 0;
  std::int64_t capacity = 0;
  std::vector<std::pair<std::int32_t, std::int32_t>>
      aliases;  // (reshaped slot, whose memory it is)
  std::vector<TensorView> outputs;
  MemoryPlan memory;
  Observer observer;
  bool profiling = false;
  std::atomic<bool> stopping = false;
  std::vector<Profile> profiles;

  const program::Program& program() const { return bundle.program; }
  Value* value(std::int32_t slot) {
    return slot < 0 ? nullptr : &values[static_cast<std::size_t>(slot)];
  }
  const program::Slot& slot(std::int32_t index) const { return program().slot(index); }

  // session.cpp
  Status prepare();
  Status prepare_constants();
  Status widen_constant(std::size_t slot, std::span<const std::byte> narrow);
  Status decode_constant(std::size_t slot);
  Status prepare_caches();
  Status prepare_calls();
  Expected<Bound> bind_call(const program::Instruction& instruction);
  Cache* cache_of(std::int32_t input_slot);
  Status bind(std::span<const TensorView> inputs);
  Status bind_input(std::int32_t index, const TensorView& view);
  Status bind_dims(std::int32_t index, const Dims& dims);
  Status check_inputs();
  Expected<bool> size_activations();
  Status plan();
  void join_parts(Planner& planner) const;
  Status check_room();  // in the caches
  Status check_copies();
  void finish();

  // execute.cpp
  Status execute();
  Status run_region(std::int32_t region);
  Status check_stopped();  // takes the wish to stop with it
  Status run_bound(Bound& bound);
  Status run_found(Bound& bound);  // an instruction whose dims are found now
  Status find(Bound& bound);       // its results' dims, memory and scratch
  bool is_found(Bound& bound);     // are they those of the call before?
  void remember(Bound& bound);
  // Memory for a slot's value of these dims: its own, or its place in the arena when they are the
  // planned ones.
  Status resize(std::int32_t slot, Dims dims);
  Status copy_to(std::int32_t slot, const Value& from);

  // control.cpp
  class Rounds;
  Status run_control(Bound& bound);
  Status run_if(Bound& bound);
  Status run_loop(Bound& bound);
  Status run_scan(Bound& bound);
};

}  // namespace thimble::runtime

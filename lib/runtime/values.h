#pragma once
// What operators see while a program runs: views of slots with concrete dims, their attributes, the
// pool.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/attention.h"
#include "kernels/coded.h"
#include "kernels/convolve.h"
#include "kernels/linear.h"
#include "kernels/rows.h"
#include "program/bundle.h"
#include "runtime/memory.h"
#include "support/thread_pool.h"

namespace thimble::runtime {

using Dims = std::vector<std::int64_t>;

// Tokens that one run feeds to caches at most, unless SessionOptions say: a window's ring holds
// that many beside the window itself.
inline constexpr std::int64_t kMostTokens = 512;

std::int64_t count_of(const Dims& dims);

// A tensor in tiles as the kernels take it.
kernels::GroupedWeight grouped_view(const program::Tensor& tensor, const program::Bundle& bundle);

// A slot's value. `tensor` is set for constants in tiles or panels, which have no plain data;
// `data` of the latter are the panels.
struct Value {
  program::Type type = program::Type::kF32;
  Dims dims;
  void* data = nullptr;
  const program::Tensor* tensor = nullptr;
  bool cached = false;  // lies in a cache, or will: no data here
  kernels::GroupedWeight grouped;

  std::int64_t count() const { return count_of(dims); }
  const float* floats() const { return static_cast<const float*>(data); }
  float* floats() { return static_cast<float*>(data); }
};

// A KV cache and where it stands.
struct Cache {
  kernels::CacheView view;
  Memory memory;
  std::int32_t input = -1, output = -1;  // slots
};

struct Machine {
  ThreadPool& pool;
  const kernels::LinearKernels& linear;
  const kernels::RowKernels& rows;
  const kernels::AttentionKernels& attention;
  const kernels::ConvolveKernels& convolve;
  const kernels::CodedKernels& coded;
  bool float_activations = false;
};

// One instruction ready to run. Absent inputs and outputs are null.
struct Call {
  const program::Instruction& instruction;
  Machine& machine;
  std::vector<Value*> inputs;
  std::vector<Value*> outputs;
  std::span<std::byte> scratch;  // scratch_bytes() of it, 64-byte aligned
  Cache* keys = nullptr;         // attention with a cache
  Cache* values = nullptr;
  std::int64_t past = 0;  // positions in the caches
  // What an operator's `shape` found out on its way and its `run` would find again: the elements
  // that NonZero selects, say.
  mutable std::vector<std::int64_t> found = {};
};

// One operator of the runtime.
struct Operator {
  program::Op op;
  Status (*run)(Call& call);
  std::size_t (*scratch)(const Call& call);  // null: none
  // The dims of every result, from the inputs' types, dims and elements and from the attributes;
  // whatever `run` relies on is checked here. Called right before `run`, so everything that is read
  // is there. `results` has one entry an output. Null: check_call knows the operator, and all its
  // slots have planned dims.
  Status (*shape)(const Call& call, std::vector<Dims>& results);
};

const Operator* find_operator(program::Op op);

// Runs f(begin, end) over rows, each costing about so many operations, in the calling thread when
// the work is too small to share.
template <class F>
void over_rows(Machine& machine, std::int64_t rows, std::int64_t cost_per_row, F f) {
  constexpr std::int64_t kWorthSharing = 16384;
  if (rows * cost_per_row < kWorthSharing || machine.pool.threads() == 1)
    return f(std::int64_t{0}, rows);
  machine.pool.parallel_for(static_cast<std::size_t>(rows), 1,
                            [&](std::size_t begin, std::size_t end) {
                              f(static_cast<std::int64_t>(begin), static_cast<std::int64_t>(end));
                            });
}

// The same one row at a time: runs f(row).
template <class F>
void over_each(Machine& machine, std::int64_t rows, std::int64_t cost_per_row, F f) {
  over_rows(machine, rows, cost_per_row, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) f(row);
  });
}

}  // namespace thimble::runtime

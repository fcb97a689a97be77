#pragma once
// The operators, by family; ops/table.cpp lists them.

#include <algorithm>
#include <array>
#include <atomic>
#include <initializer_list>
#include <span>
#include <vector>

#include "runtime/values.h"

namespace thimble::runtime {

// Do types and dims fit? Called for every instruction once its values' dims are known, before
// scratch is asked for.
Status check_call(const Call& call);
// The part of it that can be told before dims are known: does the operator read only what has
// elements?
Status check_operands(const Call& call);
Status check_attention(const Call& call);

// The operators of each family; table.cpp joins them.
std::span<const Operator> product_operators();      // linear.cpp
std::span<const Operator> network_operators();      // network.cpp: norms, rotary, attention
std::span<const Operator> elementwise_operators();  // elementwise.cpp
std::span<const Operator> movement_operators();     // movement.cpp
std::span<const Operator> arithmetic_operators();   // arithmetic.cpp
std::span<const Operator> image_operators();        // images.cpp
std::span<const Operator> selection_operators();    // selection.cpp
// Those of smaller families that make up one.
std::vector<Operator> join_families(
    std::initializer_list<std::span<const Operator> (*)()> families);

// Dims of results of the operators that are planned where they can be (shapes.cpp).
Status shape_same(const Call& call, std::vector<Dims>& results);
Status shape_binary(const Call& call, std::vector<Dims>& results);
Status shape_where(const Call& call, std::vector<Dims>& results);
Status shape_linear(const Call& call, std::vector<Dims>& results);
Status shape_matmul(const Call& call, std::vector<Dims>& results);
Status shape_gather(const Call& call, std::vector<Dims>& results);
Status shape_transpose(const Call& call, std::vector<Dims>& results);
Status shape_concat(const Call& call, std::vector<Dims>& results);

// Where each axis of a Transpose's result comes from; an absent `perm` reverses them.
Dims permutation_of(const Call& call);

// numpy's matmul: a vector on either side is a row or a column whose dimension goes again.
Expected<Dims> matmul_dims(Dims a, Dims b);
// ONNX broadcasting of two shapes; an error when they don't fit.
Expected<Dims> broadcast_dims(const Dims& a, const Dims& b);
// An axis counted from the front; an error when it is outside [-rank, rank).
Expected<std::size_t> axis_at(std::int64_t axis, std::size_t rank);
// The elements of an i64 or i32 input as numbers.
Expected<std::vector<std::int64_t>> integers_of(const Value& value);

// Scratch in equal parts, one per thread that is working at the moment.
class ScratchParts {
 public:
  ScratchParts(std::span<std::byte> memory, int parts, std::size_t part_bytes);
  int take();
  void give_back(int part) { taken_[part].store(false, std::memory_order_release); }
  std::byte* memory(int part) const { return base_ + static_cast<std::size_t>(part) * part_bytes_; }

 private:
  static constexpr int kMost = 1024;
  std::byte* base_;
  int parts_;
  std::size_t part_bytes_;
  std::atomic<bool> taken_[kMost] = {};
};

// As those of values.h, with a part of the scratch for whoever works: runs f(begin, end, memory).
template <class F>
void over_rows(Machine& machine, ScratchParts& scratch, std::int64_t rows,
               std::int64_t cost_per_row, F f) {
  over_rows(machine, rows, cost_per_row, [&](std::int64_t begin, std::int64_t end) {
    const int part = scratch.take();
    f(begin, end, scratch.memory(part));
    scratch.give_back(part);
  });
}

// Runs f(row, memory).
template <class F>
void over_each(Machine& machine, ScratchParts& scratch, std::int64_t rows,
               std::int64_t cost_per_row, F f) {
  over_rows(machine, scratch, rows, cost_per_row,
            [&](std::int64_t begin, std::int64_t end, std::byte* memory) {
              for (std::int64_t row = begin; row < end; ++row) f(row, memory);
            });
}

// Out of range and NaN give 0 rather than undefined behaviour.
inline std::int64_t whole(double x) {
  return x > -9.2e18 && x < 9.2e18 ? static_cast<std::int64_t>(x) : 0;
}
template <class T>
T narrowed(double x) {
  return std::is_integral_v<T> ? static_cast<T>(whole(x)) : static_cast<T>(x);
}

// Where a slice begins on an axis of `dim`, as ONNX clamps it; `dim` itself or -1 when it takes
// nothing.
std::int64_t slice_start(std::int64_t start, std::int64_t step, std::int64_t dim);

// Element strides of `dims` seen as `out` dims, 0 along axes that are broadcast.
Dims broadcast_strides(const Dims& dims, const Dims& out);
Dims strides_of(const Dims& dims);
// Where the element of that flat index in `dims` lies by these strides.
std::int64_t offset_of(std::int64_t index, const Dims& dims, const Dims& strides);

// Calls f(part, first, last) for the rows [first, last) of each part that rows [begin, end) of
// equal parts, one after the other, belong to.
template <class F>
void each_part(std::int64_t begin, std::int64_t end, std::int64_t rows_of_part, F f) {
  while (begin < end) {
    const std::int64_t first = begin % rows_of_part;
    const std::int64_t last = std::min(rows_of_part, first + end - begin);
    f(begin / rows_of_part, first, last);
    begin += last - first;
  }
}

// Calls f(flat index in `dims`, offsets...) for every element in row-major order, where each offset
// follows its own strides.
template <std::size_t N, class F>
void each_element(const Dims& dims, const std::array<Dims, N>& strides, F f) {
  const std::int64_t count = count_of(dims);
  Dims index(dims.size(), 0);
  std::array<std::int64_t, N> offset{};
  for (std::int64_t flat = 0; flat < count; ++flat) {
    f(flat, offset);
    for (std::size_t d = dims.size(); d-- > 0;) {
      for (std::size_t n = 0; n < N; ++n) offset[n] += strides[n][d];
      if (++index[d] < dims[d]) break;
      for (std::size_t n = 0; n < N; ++n) offset[n] -= strides[n][d] * dims[d];
      index[d] = 0;
    }
  }
}

}  // namespace thimble::runtime

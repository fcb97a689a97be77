#pragma once
// The operators, by family; ops/table.cpp lists them.

#include <array>
#include <atomic>

#include "runtime/values.h"

namespace thimble::runtime {

// Do types and dims fit? Called for every instruction once its values' dims are known, before
// scratch is asked for.
Status check_call(const Call& call);
Status check_attention(const Call& call);

Status run_linear(Call& call);
std::size_t linear_scratch(const Call& call);
Status run_matmul(Call& call);

Status run_rms_norm(Call& call);
Status run_layer_norm(Call& call);
Status run_softmax(Call& call);
Status run_rotary(Call& call);
Status run_attention(Call& call);
std::size_t attention_scratch(const Call& call);

Status run_unary(Call& call);
Status run_gated(Call& call);
Status run_binary(Call& call);
Status run_scale(Call& call);
Status run_where(Call& call);
Status run_cast(Call& call);

Status run_gather(Call& call);
Status run_reshape(Call& call);
Status run_transpose(Call& call);
Status run_concat(Call& call);
Status run_slice(Call& call);
Status run_expand(Call& call);
Status run_range(Call& call);
Status run_reduce(Call& call);
Status run_cumsum(Call& call);

// Scratch in equal parts, one per thread that is working at the moment.
class ScratchParts {
 public:
  ScratchParts(std::span<std::byte> memory, int parts, std::size_t part_bytes);
  std::byte* take();
  void give_back(std::byte* part);

 private:
  static constexpr int kMost = 1024;
  std::byte* base_;
  int parts_;
  std::size_t part_bytes_;
  std::atomic<bool> taken_[kMost] = {};
};

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

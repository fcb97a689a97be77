// Every operator of this build, found by its number.

#include "runtime/ops/ops.h"

namespace thimble::runtime {

const Operator* find_operator(program::Op op) {
  for (const auto family :
       {product_operators, network_operators, elementwise_operators, movement_operators,
        arithmetic_operators, image_operators, selection_operators}) {
    for (const Operator& candidate : family()) {
      if (candidate.op == op) return &candidate;
    }
  }
  return nullptr;
}

std::vector<Operator> join_families(
    std::initializer_list<std::span<const Operator> (*)()> families) {
  std::vector<Operator> all;
  for (const auto family : families) {
    const std::span<const Operator> some = family();
    all.insert(all.end(), some.begin(), some.end());
  }
  return all;
}

ScratchParts::ScratchParts(std::span<std::byte> memory, int parts, std::size_t part_bytes)
    : base_(memory.data()), parts_(parts < kMost ? parts : kMost), part_bytes_(part_bytes) {}

int ScratchParts::take() {
  for (int i = 0;; i = (i + 1) % parts_) {
    if (!taken_[i].exchange(true, std::memory_order_acquire)) return i;
  }
}

std::int64_t offset_of(std::int64_t index, const Dims& dims, const Dims& strides) {
  std::int64_t at = 0;
  for (std::size_t d = dims.size(); d-- > 0; index /= dims[d]) at += index % dims[d] * strides[d];
  return at;
}

Dims strides_of(const Dims& dims) {
  Dims strides(dims.size(), 1);
  for (std::size_t d = dims.size(); d-- > 1;) strides[d - 1] = strides[d] * dims[d];
  return strides;
}

Dims broadcast_strides(const Dims& dims, const Dims& out) {
  const Dims own = strides_of(dims);
  Dims strides(out.size(), 0);
  const std::size_t lead = out.size() - dims.size();
  for (std::size_t d = 0; d < dims.size(); ++d) strides[lead + d] = dims[d] == 1 ? 0 : own[d];
  return strides;
}

}  // namespace thimble::runtime

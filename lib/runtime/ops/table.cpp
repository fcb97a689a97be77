// Every operator of this build, in one list.

#include "runtime/ops/ops.h"

namespace thimble::runtime {
namespace {

using program::Op;

constexpr Operator kOperators[] = {
    {Op::kLinear, "Linear", run_linear, linear_scratch},
    {Op::kGather, "Gather", run_gather, nullptr},
    {Op::kRmsNorm, "RmsNorm", run_rms_norm, nullptr},
    {Op::kLayerNorm, "LayerNorm", run_layer_norm, nullptr},
    {Op::kRotary, "Rotary", run_rotary, nullptr},
    {Op::kAttention, "Attention", run_attention, attention_scratch},
    {Op::kUnary, "Unary", run_unary, nullptr},
    {Op::kBinary, "Binary", run_binary, nullptr},
    {Op::kGatedUnary, "GatedUnary", run_gated, nullptr},
    {Op::kSoftmax, "Softmax", run_softmax, nullptr},
    {Op::kReshape, "Reshape", run_reshape, nullptr},
    {Op::kTranspose, "Transpose", run_transpose, nullptr},
    {Op::kConcat, "Concat", run_concat, nullptr},
    {Op::kSlice, "Slice", run_slice, nullptr},
    {Op::kReduce, "Reduce", run_reduce, nullptr},
    {Op::kCast, "Cast", run_cast, nullptr},
    {Op::kWhere, "Where", run_where, nullptr},
    {Op::kMatMul, "MatMul", run_matmul, nullptr},
    {Op::kExpand, "Expand", run_expand, nullptr},
    {Op::kScale, "Scale", run_scale, nullptr},
    {Op::kRange, "Range", run_range, nullptr},
    {Op::kCumSum, "CumSum", run_cumsum, nullptr},
};

}  // namespace

const Operator* find_operator(program::Op op) {
  for (const Operator& candidate : kOperators) {
    if (candidate.op == op) return &candidate;
  }
  return nullptr;
}

ScratchParts::ScratchParts(std::span<std::byte> memory, int parts, std::size_t part_bytes)
    : base_(memory.data()), parts_(parts < kMost ? parts : kMost), part_bytes_(part_bytes) {}

std::byte* ScratchParts::take() {
  for (int i = 0;; i = (i + 1) % parts_) {
    if (!taken_[i].exchange(true, std::memory_order_acquire))
      return base_ + static_cast<std::size_t>(i) * part_bytes_;
  }
}

void ScratchParts::give_back(std::byte* part) {
  taken_[static_cast<std::size_t>(part - base_) / part_bytes_].store(false,
                                                                     std::memory_order_release);
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

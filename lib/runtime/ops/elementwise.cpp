// What elements are multiplied by or chosen from, with ONNX broadcasting.

#include <cstring>

#include "runtime/ops/numbers.h"

namespace thimble::runtime {
namespace {

Status run_scale(Call& call) {
  const Value& x = *call.inputs[0];
  const float factor = call.instruction.real("factor", 1.0f);
  over_pieces(call, x.count(), [&](std::int64_t from, std::int64_t count) {
    call.machine.rows.scale(x.floats() + from, factor, count, call.outputs[0]->floats() + from);
  });
  return ok();
}

Status run_where(Call& call) {
  Value& y = *call.outputs[0];
  const Value& condition = *call.inputs[0];
  const Dims& dims = y.dims;
  const auto size = static_cast<std::size_t>(program::type_bytes(y.type));
  const Value* sides[2] = {call.inputs[1], call.inputs[2]};
  each_element<3>(dims,
                  {broadcast_strides(condition.dims, dims), broadcast_strides(sides[0]->dims, dims),
                   broadcast_strides(sides[1]->dims, dims)},
                  [&](std::int64_t flat, const std::array<std::int64_t, 3>& at) {
                    const bool yes = static_cast<const std::uint8_t*>(condition.data)[at[0]] != 0;
                    const std::int64_t from = yes ? at[1] : at[2];
                    std::memcpy(
                        static_cast<std::byte*>(y.data) + static_cast<std::size_t>(flat) * size,
                        static_cast<const std::byte*>(sides[yes ? 0 : 1]->data) +
                            static_cast<std::size_t>(from) * size,
                        size);
                  });
  return ok();
}

}  // namespace

std::span<const Operator> elementwise_operators() {
  static constexpr Operator kOperators[] = {
      {program::Op::kScale, run_scale, nullptr, shape_same},
      {program::Op::kWhere, run_where, nullptr, shape_where},
  };
  return kOperators;
}

}  // namespace thimble::runtime

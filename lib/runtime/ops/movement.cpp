// Operators that move elements.

#include <cstring>

#include "runtime/ops/operands.h"
#include "runtime/widen.h"

namespace thimble::runtime {
namespace {

using program::Type;

// Rows of a table of weights, decoded to f32.
Status gather_rows(const Value& table, const Value& indices, Value& y) {
  const std::int64_t width = table.dims.back();
  for (std::int64_t i = 0; i < indices.count(); ++i) {
    THIMBLE_ASSIGN(const std::int64_t row, index_within(indices, i, table.dims[0]));
    float* out = y.floats() + i * width;
    if (table.tensor != nullptr) {
      kernels::decode_grouped_row(table.grouped, row, out);
    } else {
      widen(table.type, data_of<std::uint16_t>(table) + row * width, width, out);
    }
  }
  return ok();
}

Status run_gather(Call& call) {
  const Value& table = *call.inputs[0];
  const Value& indices = *call.inputs[1];
  Value& y = *call.outputs[0];
  THIMBLE_ASSIGN(const std::size_t axis,
                 axis_at(call.instruction.integer("axis", 0), table.dims.size()));
  const bool coded = table.tensor != nullptr || is_narrow(table.type);
  if (coded && y.type == Type::kF32) return gather_rows(table, indices, y);
  const std::int64_t outer = product_of(table.dims, 0, axis),
                     inner = product_of(table.dims, axis + 1, table.dims.size());
  const auto size = static_cast<std::size_t>(inner) * element_bytes(table);
  for (std::int64_t o = 0; o < outer; ++o) {
    for (std::int64_t i = 0; i < indices.count(); ++i) {
      THIMBLE_ASSIGN(const std::int64_t row, index_within(indices, i, table.dims[axis]));
      std::memcpy(bytes_of(y) + static_cast<std::size_t>(o * indices.count() + i) * size,
                  bytes_of(table) + static_cast<std::size_t>(o * table.dims[axis] + row) * size,
                  size);
    }
  }
  return ok();
}

// The planner gave the result its input's memory.
Status run_reshape(Call&) { return ok(); }

Status run_transpose(Call& call) {
  const Value& x = *call.inputs[0];
  const Dims own = strides_of(x.dims);
  Dims strides;
  for (const std::int64_t axis : permutation_of(call))
    strides.push_back(own[static_cast<std::size_t>(axis)]);
  copy_strided(call.machine, x, strides, 0, *call.outputs[0]);
  return ok();
}

Status run_concat(Call& call) {
  Value& y = *call.outputs[0];
  THIMBLE_ASSIGN(const std::size_t axis,
                 axis_at(call.instruction.integer("axis", 0), y.dims.size()));
  const std::int64_t outer = product_of(y.dims, 0, axis),
                     inner = product_of(y.dims, axis + 1, y.dims.size());
  std::int64_t at = 0;
  for (const Value* x : call.inputs) {
    const auto size = static_cast<std::size_t>(x->dims[axis] * inner) * element_bytes(y);
    for (std::int64_t o = 0; o < outer; ++o) {
      std::byte* to = bytes_of(y) +
                      static_cast<std::size_t>((o * y.dims[axis] + at) * inner) * element_bytes(y);
      const std::byte* from = bytes_of(*x) + static_cast<std::size_t>(o) * size;
      // It may lie there already; what is empty lies nowhere.
      if (from != to && size > 0) std::memcpy(to, from, size);
    }
    at += x->dims[axis];
  }
  return ok();
}

Status run_slice(Call& call) {
  const Value& x = *call.inputs[0];
  const auto& i = call.instruction;
  const program::Attribute *starts = i.find("starts"), *axes = i.find("axes"),
                           *steps = i.find("steps");
  Dims strides = strides_of(x.dims);
  std::int64_t start = 0;
  for (std::size_t n = 0; n < starts->ints.size(); ++n) {
    const auto axis = static_cast<std::size_t>(axes->ints[n]);
    start += slice_start(starts->ints[n], steps->ints[n], x.dims[axis]) * strides[axis];
    strides[axis] *= steps->ints[n];
  }
  if (call.outputs[0]->count() == 0) return ok();
  copy_strided(call.machine, x, strides, start, *call.outputs[0]);
  return ok();
}

Status run_expand(Call& call) {
  copy_strided(call.machine, *call.inputs[0],
               broadcast_strides(call.inputs[0]->dims, call.outputs[0]->dims), 0, *call.outputs[0]);
  return ok();
}

Status run_range(Call& call) {
  Value& y = *call.outputs[0];
  for (std::int64_t i = 0; i < y.count(); ++i) {
    switch (y.type) {
      case Type::kI64:
        static_cast<std::int64_t*>(y.data)[i] = i;
        break;
      case Type::kI32:
        static_cast<std::int32_t*>(y.data)[i] = static_cast<std::int32_t>(i);
        break;
      case Type::kF32:
        y.floats()[i] = static_cast<float>(i);
        break;
      default:
        return unsupported("ranges are of i64, i32 or f32");
    }
  }
  return ok();
}

}  // namespace

std::span<const Operator> movement_operators() {
  static constexpr Operator kOperators[] = {
      {program::Op::kGather, run_gather, nullptr, shape_gather},
      {program::Op::kReshape, run_reshape, nullptr, nullptr},
      {program::Op::kTranspose, run_transpose, nullptr, shape_transpose},
      {program::Op::kConcat, run_concat, nullptr, shape_concat},
      {program::Op::kSlice, run_slice, nullptr, nullptr},
      {program::Op::kExpand, run_expand, nullptr, nullptr},
      {program::Op::kRange, run_range, nullptr, nullptr},
  };
  return kOperators;
}

}  // namespace thimble::runtime

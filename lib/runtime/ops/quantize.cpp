// QuantizeLinear, DequantizeLinear and DynamicQuantizeLinear.

#include <algorithm>
#include <cmath>
#include <mutex>
#include <utility>

#include "runtime/ops/numbers.h"

namespace thimble::runtime {
namespace {

using program::Op;
using program::Type;

// How many elements share a scale, which the scale's shape says: all, those of one place on an
// axis, or those of one block of places.
struct Grid {
  Axis axis{1, 1, 1};       // all elements are one line where there is one scale
  std::int64_t block = 1;   // places on the axis that share a scale
  std::int64_t blocks = 1;  // on the axis
  bool lines = false;       // each line along the axis has scales of its own

  // The scale of the first of the `inner` elements at (outer, place), and what the next one adds.
  std::int64_t first(std::int64_t outer, std::int64_t place) const {
    return lines ? (outer * blocks + place / block) * axis.inner : place / block;
  }
  std::int64_t step() const { return lines ? 1 : 0; }
};

Expected<Grid> grid_of(const Call& call) {
  const Dims &x = call.inputs[0]->dims, &scale = call.inputs[1]->dims;
  Grid grid;
  const std::int64_t size = call.instruction.integer("block_size", 0);
  if (call.inputs[1]->count() == 1 && size == 0) {
    grid.axis.inner = call.inputs[0]->count();
    return grid;
  }
  THIMBLE_ASSIGN(const std::size_t axis, axis_at(call.instruction.integer("axis", 1), x.size()));
  grid.axis = axis_view(x, axis);
  if (scale.size() == 1 && scale[0] == x[axis] && size == 0) return grid;
  Dims expected = x;
  if (scale.size() == x.size()) expected[axis] = scale[axis];
  if (scale != expected || scale[axis] < 1)
    return invalid_argument("the scale is neither one number nor one a place or block of the axis");
  grid.lines = true;
  grid.blocks = scale[axis];
  grid.block = size > 0 ? size : (x[axis] + grid.blocks - 1) / grid.blocks;
  if (grid.block < 1 || (x[axis] + grid.block - 1) / grid.block != grid.blocks)
    return invalid_argument("block_size doesn't divide the axis into as many blocks as scales");
  return grid;
}

Status check_parameters(const Call& call, Type quantized) {
  const Value &scale = *call.inputs[1], *zero = input_at(call, 2);
  THIMBLE_TRY(demand(family_of(scale.type) == Family::kReal, "scales are floats"));
  return demand(zero == nullptr || (zero->type == quantized && zero->count() == scale.count()),
                "a zero point is there for every scale, of the quantized type");
}

Status shape_quantize(const Call& call, std::vector<Dims>& results) {
  THIMBLE_TRY(check_parameters(call, call.outputs[0]->type));
  THIMBLE_TRY(grid_of(call));
  return shape_same(call, results);
}

Status shape_dequantize(const Call& call, std::vector<Dims>& results) {
  THIMBLE_TRY(check_parameters(call, call.inputs[0]->type));
  THIMBLE_TRY(
      demand(family_of(call.outputs[0]->type) == Family::kReal, "DequantizeLinear gives floats"));
  THIMBLE_TRY(grid_of(call));
  return shape_same(call, results);
}

// Calls f(first element, count, its scale, what the next one's adds) over runs that share an axis
// place; long ones in pieces.
template <class F>
void over_runs(Call& call, const Grid& grid, F f) {
  constexpr std::int64_t kPiece = 4096;
  const Axis& axis = grid.axis;
  const std::int64_t pieces = (axis.inner + kPiece - 1) / kPiece;
  over_each(call.machine, axis.outer * axis.size * pieces, std::min(axis.inner, kPiece) * 4,
            [&](std::int64_t part) {
              const std::int64_t line = part / pieces, from = part % pieces * kPiece;
              const std::int64_t scale = grid.first(line / axis.size, line % axis.size);
              f(line * axis.inner + from, std::min(kPiece, axis.inner - from),
                scale + from * grid.step(), grid.step());
            });
}

float scale_at(const Call& call, std::int64_t i) {
  return static_cast<float>(element<double>(*call.inputs[1], i));
}
std::int64_t zero_at(const Call& call, std::int64_t i) {
  const Value* zero = input_at(call, 2);
  return zero != nullptr ? element<std::int64_t>(*zero, i) : 0;
}

// f32 to bytes with one scale.
template <class T>
void quantize_bytes(const float* x, std::int64_t count, float scale, float zero, Range range,
                    T* y) {
  const auto least = static_cast<float>(range.least), most = static_cast<float>(range.most);
  for (std::int64_t i = 0; i < count; ++i) {
    const float v = std::nearbyint(x[i] / scale) + zero;
    y[i] = static_cast<T>(v > most ? most : v >= least ? v : least);
  }
}

void quantize_run(const Call& call, std::int64_t from, std::int64_t count, std::int64_t at,
                  std::int64_t step, Rounding rounding) {
  const Value& x = *call.inputs[0];
  Value& y = *call.outputs[0];
  const bool integers = family_of(y.type) != Family::kReal;
  const Range range = range_of(y.type);
  if (step == 0 && x.type == Type::kF32 && (y.type == Type::kU8 || y.type == Type::kI8)) {
    const float scale = scale_at(call, at);
    const auto zero = static_cast<float>(zero_at(call, at));
    if (y.type == Type::kU8)
      quantize_bytes(x.floats() + from, count, scale, zero, range, data_of<std::uint8_t>(y) + from);
    else
      quantize_bytes(x.floats() + from, count, scale, zero, range, data_of<std::int8_t>(y) + from);
    return;
  }
  for (std::int64_t i = 0; i < count; ++i) {
    const float scaled =
        static_cast<float>(element<double>(x, from + i)) / scale_at(call, at + i * step);
    if (!integers) {
      // A zero point of floats is 0; adding it takes the sign off zero.
      set_element(y, from + i, static_cast<double>(scaled) + 0.0, rounding);
      continue;
    }
    const double v = std::nearbyint(static_cast<double>(scaled)) +
                     static_cast<double>(zero_at(call, at + i * step));
    set_element(y, from + i, v > range.most ? range.most : v >= range.least ? v : range.least);
  }
}

Status run_quantize(Call& call) {
  THIMBLE_ASSIGN(const Grid grid, grid_of(call));
  Rounding rounding;
  rounding.saturate = call.instruction.integer("saturate", 1) != 0;
  over_runs(call, grid,
            [&](std::int64_t from, std::int64_t count, std::int64_t at, std::int64_t step) {
              quantize_run(call, from, count, at, step, rounding);
            });
  return ok();
}

template <class T>
void dequantize_bytes(const T* x, std::int64_t count, float scale, std::int32_t zero, float* y) {
  for (std::int64_t i = 0; i < count; ++i)
    y[i] = static_cast<float>(static_cast<std::int32_t>(x[i]) - zero) * scale;
}

void dequantize_run(const Call& call, std::int64_t from, std::int64_t count, std::int64_t at,
                    std::int64_t step) {
  const Value& x = *call.inputs[0];
  Value& y = *call.outputs[0];
  const bool integers = family_of(x.type) != Family::kReal;
  if (step == 0 && y.type == Type::kF32 && (x.type == Type::kU8 || x.type == Type::kI8)) {
    const float scale = scale_at(call, at);
    const auto zero = static_cast<std::int32_t>(zero_at(call, at));
    if (x.type == Type::kU8)
      dequantize_bytes(data_of<std::uint8_t>(x) + from, count, scale, zero, y.floats() + from);
    else
      dequantize_bytes(data_of<std::int8_t>(x) + from, count, scale, zero, y.floats() + from);
    return;
  }
  for (std::int64_t i = 0; i < count; ++i) {
    const float off =
        integers
            ? static_cast<float>(element<std::int64_t>(x, from + i) - zero_at(call, at + i * step))
            : static_cast<float>(element<double>(x, from + i));
    set_element(y, from + i, static_cast<double>(off * scale_at(call, at + i * step)));
  }
}

Status run_dequantize(Call& call) {
  THIMBLE_ASSIGN(const Grid grid, grid_of(call));
  over_runs(call, grid,
            [&](std::int64_t from, std::int64_t count, std::int64_t at, std::int64_t step) {
              dequantize_run(call, from, count, at, step);
            });
  return ok();
}

Status shape_dynamic(const Call& call, std::vector<Dims>& results) {
  THIMBLE_TRY(demand(call.inputs[0]->type == Type::kF32 && call.outputs[0]->type == Type::kU8 &&
                         results.size() == 3,
                     "DynamicQuantizeLinear takes f32 and gives u8, a scale and a zero point"));
  for (std::size_t i = 1; i < 3; ++i) {
    const Value* v = call.outputs[i];
    THIMBLE_TRY(demand(v == nullptr || v->type == (i == 1 ? Type::kF32 : Type::kU8),
                       "DynamicQuantizeLinear's scale is f32, its zero point u8"));
    results[i] = {};
  }
  return shape_same(call, results);
}

// The least and the largest of 0 and x's elements.
std::pair<float, float> reach_of(Call& call, const Value& x) {
  std::mutex mutex;
  float least = 0, most = 0;
  over_rows(call.machine, x.count(), 1, [&](std::int64_t begin, std::int64_t end) {
    float low = 0, high = 0;
    call.machine.coded.widen_range(x.floats() + begin, end - begin, low, high);
    const std::lock_guard lock(mutex);
    least = std::min(least, low);
    most = std::max(most, high);
  });
  return {least, most};
}

Status run_dynamic(Call& call) {
  const Value& x = *call.inputs[0];
  const auto [least, most] = reach_of(call, x);
  const float scale = (most - least) / 255.0f;
  const float offset = scale > 0 ? std::nearbyint(0.0f - least / scale) : 0.0f;
  const float zero = std::clamp(offset, 0.0f, 255.0f);
  auto* y = data_of<std::uint8_t>(*call.outputs[0]);
  over_pieces(call, x.count(), [&](std::int64_t from, std::int64_t count) {
    call.machine.coded.encode(x.floats() + from, count, scale > 0 ? scale : 1.0f,
                              static_cast<std::int32_t>(zero), y + from);
  });
  if (Value* out = output_at(call, 1)) *out->floats() = scale;
  if (Value* out = output_at(call, 2))
    *data_of<std::uint8_t>(*out) = static_cast<std::uint8_t>(zero);
  return ok();
}

}  // namespace

std::span<const Operator> quantizing_operators() {
  static constexpr Operator kOperators[] = {
      {Op::kQuantizeLinear, run_quantize, nullptr, shape_quantize},
      {Op::kDequantizeLinear, run_dequantize, nullptr, shape_dequantize},
      {Op::kDynamicQuantizeLinear, run_dynamic, nullptr, shape_dynamic},
  };
  return kOperators;
}

}  // namespace thimble::runtime

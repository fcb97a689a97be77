// LayerNormalization and RMSNormalization in their general form: any axis, a scale and a bias that
// broadcast, and the statistics as results.

#include <cmath>

#include "runtime/ops/images.h"
#include "runtime/ops/moments.h"

namespace thimble::runtime {
namespace {

using program::Op;

Expected<std::size_t> first_axis(const Call& call) {
  return axis_at(call.instruction.integer("axis", -1), call.inputs[0]->dims.size());
}

Status shape_rows(const Call& call, std::vector<Dims>& results) {
  const Value& x = *call.inputs[0];
  THIMBLE_TRY(demand(is_real(x.type) && call.outputs[0]->type == x.type,
                     "a normalization takes f32 or f64"));
  for (std::size_t i = 1; i < call.inputs.size(); ++i) {
    const Value* v = call.inputs[i];
    if (v == nullptr) continue;
    THIMBLE_ASSIGN(const Dims both, broadcast_dims(x.dims, v->dims));
    THIMBLE_TRY(demand(v->type == x.type && both == x.dims,
                       "a normalization's scale or bias doesn't fit its input"));
  }
  THIMBLE_ASSIGN(const std::size_t axis, first_axis(call));
  results[0] = x.dims;
  for (std::size_t i = 1; i < results.size(); ++i) {
    THIMBLE_TRY(demand(call.outputs[i] == nullptr || is_real(call.outputs[i]->type),
                       "a normalization's statistics are f32 or f64"));
    results[i] = x.dims;
    for (std::size_t d = axis; d < x.dims.size(); ++d) results[i][d] = 1;
  }
  return ok();
}

// A scale or a bias, spread over x.
struct Spread {
  const Value* value;
  Dims strides;
  bool whole_rows = false;  // its elements are those of one row, in order

  Spread(const Value* v, const Dims& dims, std::int64_t width) : value(v) {
    if (v == nullptr) return;
    strides = broadcast_strides(v->dims, dims);
    whole_rows = v->count() == width && count_of(dims) > 0 && [&] {
      const Dims own = strides_of(dims);
      std::int64_t inner = 1;
      for (std::size_t d = dims.size(); d-- > 0 && inner < width; inner *= dims[d]) {
        if (strides[d] != own[d] && dims[d] != 1) return false;
      }
      return true;
    }();
  }
  std::int64_t place(const Dims& dims, std::int64_t flat) const {
    std::int64_t at = 0;
    for (std::size_t d = dims.size(); d-- > 0; flat /= dims[d]) at += flat % dims[d] * strides[d];
    return at;
  }
  // The element that stands at `row * width + i` of x.
  template <class T>
  T at(const Dims& dims, std::int64_t row, std::int64_t width, std::int64_t i) const {
    return data_of<T>(*value)[whole_rows ? i : place(dims, row * width + i)];
  }
};

void store(Value* into, std::int64_t at, double value) {
  if (into == nullptr) return;
  if (into->type == program::Type::kF64) {
    data_of<double>(*into)[at] = value;
  } else {
    into->floats()[at] = static_cast<float>(value);
  }
}

template <class T>
Status normalize_rows(Call& call, std::size_t axis) {
  const Value& x = *call.inputs[0];
  const std::int64_t width = product_of(x.dims, axis, x.dims.size());
  const bool centred = call.instruction.op == Op::kLayerNormOf;
  const double epsilon = call.instruction.real("epsilon", 1e-5f);
  const Spread scale(input_at(call, 1), x.dims, width), bias(input_at(call, 2), x.dims, width);
  over_each(call.machine, product_of(x.dims, 0, axis), width, [&](std::int64_t row) {
    const T* from = data_of<T>(x) + row * width;
    T* to = data_of<T>(*call.outputs[0]) + row * width;
    Moments m;
    if (centred) m.mean = sum_of(from, width) / static_cast<double>(width);
    m.variance = squares_around(from, width, m.mean) / static_cast<double>(width);
    const double inverse = 1 / std::sqrt(m.variance + epsilon);
    for (std::int64_t i = 0; i < width; ++i) {
      T value = static_cast<T>((static_cast<double>(from[i]) - m.mean) * inverse);
      if (scale.value != nullptr) value *= scale.at<T>(x.dims, row, width, i);
      if (bias.value != nullptr) value += bias.at<T>(x.dims, row, width, i);
      to[i] = value;
    }
    store(output_at(call, 1), row, m.mean);
    store(output_at(call, 2), row, inverse);
  });
  return ok();
}

Status run_rows(Call& call) {
  THIMBLE_ASSIGN(const std::size_t axis, first_axis(call));
  return with_real(call.inputs[0]->type,
                   [&](auto zero) { return normalize_rows<decltype(zero)>(call, axis); });
}

}  // namespace

std::span<const Operator> row_normalizations() {
  static constexpr Operator kOperators[] = {
      {Op::kLayerNormOf, run_rows, nullptr, shape_rows},
      {Op::kRmsNormOf, run_rows, nullptr, shape_rows},
  };
  return kOperators;
}

}  // namespace thimble::runtime

// Running sums and products along an axis, and determinants.

#include <algorithm>
#include <cmath>

#include "runtime/ops/numbers.h"

namespace thimble::runtime {
namespace {

using program::Op;

// kCumSum says its axis as an attribute, the ONNX operators as an input.
Expected<std::size_t> running_axis(const Call& call) {
  const Value* given = input_at(call, 1);
  const std::size_t rank = call.inputs[0]->dims.size();
  if (given == nullptr) return axis_at(call.instruction.integer("axis", 0), rank);
  THIMBLE_ASSIGN(const auto axis, integers_of(*given));
  if (axis.size() != 1) return invalid_argument("the axis to run along is one number");
  return axis_at(axis[0], rank);
}

Status shape_running(const Call& call, std::vector<Dims>& results) {
  THIMBLE_TRY(
      demand(call.inputs[0]->type == call.outputs[0]->type, "a running sum keeps the type"));
  THIMBLE_TRY(running_axis(call));
  return shape_same(call, results);
}

template <class W>
void run_along(Call& call, const Axis& axis) {
  const Value& x = *call.inputs[0];
  Value& y = *call.outputs[0];
  const bool multiplies = call.instruction.op == Op::kCumProd;
  const bool exclusive = call.instruction.integer("exclusive", 0) != 0;
  const bool reverse = call.instruction.integer("reverse", 0) != 0;
  over_each(call.machine, axis.outer * axis.inner, axis.size * 4, [&](std::int64_t line) {
    const std::int64_t from = line / axis.inner * axis.size * axis.inner + line % axis.inner;
    W total = multiplies ? 1 : 0;
    for (std::int64_t n = 0; n < axis.size; ++n) {
      const std::int64_t i = from + (reverse ? axis.size - 1 - n : n) * axis.inner;
      const W next = multiplies ? total * element<W>(x, i) : total + element<W>(x, i);
      set_element(y, i, exclusive ? total : next);
      total = next;
    }
  });
}

Status run_running(Call& call) {
  const Value& x = *call.inputs[0];
  THIMBLE_ASSIGN(const std::size_t at, running_axis(call));
  const Axis axis = axis_view(x.dims, at);
  // Whole numbers wrap around, whatever their sign.
  if (family_of(x.type) == Family::kReal)
    run_along<double>(call, axis);
  else
    run_along<std::uint64_t>(call, axis);
  return ok();
}

Status shape_determinant(const Call& call, std::vector<Dims>& results) {
  const Value& x = *call.inputs[0];
  const std::size_t rank = x.dims.size();
  THIMBLE_TRY(demand(rank >= 2 && x.dims[rank - 1] == x.dims[rank - 2] &&
                         family_of(x.type) == Family::kReal && call.outputs[0]->type == x.type,
                     "Det takes square matrices of floats"));
  results[0] = Dims(x.dims.begin(), x.dims.end() - 2);
  return ok();
}

// Gaussian elimination with partial pivoting of `a`, n by n.
double determinant(std::vector<double>& a, std::size_t n) {
  double product = 1;
  for (std::size_t k = 0; k < n; ++k) {
    std::size_t pivot = k;
    for (std::size_t i = k + 1; i < n; ++i) {
      if (std::fabs(a[i * n + k]) > std::fabs(a[pivot * n + k])) pivot = i;
    }
    if (a[pivot * n + k] == 0) return 0;
    if (pivot != k) {
      std::swap_ranges(a.begin() + static_cast<std::ptrdiff_t>(k * n),
                       a.begin() + static_cast<std::ptrdiff_t>(k * n + n),
                       a.begin() + static_cast<std::ptrdiff_t>(pivot * n));
      product = -product;
    }
    product *= a[k * n + k];
    for (std::size_t i = k + 1; i < n; ++i) {
      const double factor = a[i * n + k] / a[k * n + k];
      for (std::size_t j = k + 1; j < n; ++j) a[i * n + j] -= factor * a[k * n + j];
    }
  }
  return product;
}

Status run_determinant(Call& call) {
  const Value& x = *call.inputs[0];
  const std::int64_t n = x.dims.back();
  over_each(call.machine, call.outputs[0]->count(), n * n * n, [&](std::int64_t m) {
    std::vector<double> matrix(static_cast<std::size_t>(n * n));
    for (std::int64_t i = 0; i < n * n; ++i)
      matrix[static_cast<std::size_t>(i)] = element<double>(x, m * n * n + i);
    set_element(*call.outputs[0], m, determinant(matrix, static_cast<std::size_t>(n)));
  });
  return ok();
}

}  // namespace

std::span<const Operator> accumulating_operators() {
  static constexpr Operator kOperators[] = {
      {Op::kCumSum, run_running, nullptr, shape_running},
      {Op::kCumSumAlong, run_running, nullptr, shape_running},
      {Op::kCumProd, run_running, nullptr, shape_running},
      {Op::kDet, run_determinant, nullptr, shape_determinant},
  };
  return kOperators;
}

}  // namespace thimble::runtime

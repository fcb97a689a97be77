// ArgMax, ArgMin and TopK.

#include <algorithm>
#include <numeric>

#include "runtime/ops/numbers.h"

namespace thimble::runtime {
namespace {

using program::Op;
using program::Type;

Status shape_arg(const Call& call, std::vector<Dims>& results) {
  const Dims& x = call.inputs[0]->dims;
  THIMBLE_TRY(demand(call.outputs[0]->type == Type::kI64, "ArgMax and ArgMin give i64"));
  THIMBLE_ASSIGN(const std::size_t axis, axis_at(call.instruction.integer("axis", 0), x.size()));
  THIMBLE_TRY(demand(x[axis] > 0, "ArgMax and ArgMin need something to choose from"));
  Dims out = x;
  out[axis] = 1;
  if (call.instruction.integer("keepdims", 1) == 0)
    out.erase(out.begin() + static_cast<std::ptrdiff_t>(axis));
  results[0] = std::move(out);
  return ok();
}

template <class W>
void choose(Call& call, const Axis& axis) {
  const Value& x = *call.inputs[0];
  auto* y = data_of<std::int64_t>(*call.outputs[0]);
  const bool largest = call.instruction.op == Op::kArgMax;
  const bool last = call.instruction.integer("select_last_index", 0) != 0;
  over_each(call.machine, axis.outer * axis.inner, axis.size * 4, [&](std::int64_t line) {
    const std::int64_t from = line / axis.inner * axis.size * axis.inner + line % axis.inner;
    W best = element<W>(x, from);
    std::int64_t where = 0;
    for (std::int64_t i = 1; i < axis.size; ++i) {
      const W v = element<W>(x, from + i * axis.inner);
      const bool better = largest ? v > best : v < best;
      if (!better && !(last && v == best)) continue;
      best = v;
      where = i;
    }
    y[line] = where;
  });
}

Status run_arg(Call& call) {
  const Value& x = *call.inputs[0];
  THIMBLE_ASSIGN(const std::size_t axis,
                 axis_at(call.instruction.integer("axis", 0), x.dims.size()));
  return with_family(x.type, [&](auto zero) {
    choose<decltype(zero)>(call, axis_view(x.dims, axis));
    return ok();
  });
}

Status shape_top(const Call& call, std::vector<Dims>& results) {
  const Value& x = *call.inputs[0];
  THIMBLE_ASSIGN(const std::size_t axis,
                 axis_at(call.instruction.integer("axis", -1), x.dims.size()));
  THIMBLE_ASSIGN(const auto count, integers_of(*call.inputs[1]));
  THIMBLE_TRY(demand(count.size() == 1, "TopK's k is one number"));
  if (count[0] < 0 || count[0] > x.dims[axis])
    return invalid_argument("TopK's k is " + std::to_string(count[0]) + " of " +
                            std::to_string(x.dims[axis]) + " elements");
  const Value *values = output_at(call, 0), *indices = output_at(call, 1);
  THIMBLE_TRY(demand((values == nullptr || values->type == x.type) &&
                         (indices == nullptr || indices->type == Type::kI64),
                     "TopK gives values of its input's type, and i64"));
  results[0] = x.dims;
  results[0][axis] = count[0];
  if (results.size() > 1) results[1] = results[0];
  return ok();
}

// NaN counts as the largest; of equals the first comes first.
template <class W>
struct Before {
  const Value& x;
  std::int64_t from, step;
  bool largest;

  static bool less(W a, W b) { return a < b || (b != b && a == a); }
  bool operator()(std::int64_t i, std::int64_t j) const {
    const W a = element<W>(x, from + i * step), b = element<W>(x, from + j * step);
    if (less(a, b)) return !largest;
    if (less(b, a)) return largest;
    return i < j;
  }
};

template <class W>
void take_top(Call& call, const Axis& axis, std::int64_t count) {
  const Value& x = *call.inputs[0];
  Value *values = output_at(call, 0), *indices = output_at(call, 1);
  const bool largest = call.instruction.integer("largest", 1) != 0;
  over_each(call.machine, axis.outer * axis.inner, axis.size * 16, [&](std::int64_t line) {
    const std::int64_t outer = line / axis.inner, inner = line % axis.inner;
    const Before<W> before{x, outer * axis.size * axis.inner + inner, axis.inner, largest};
    std::vector<std::int64_t> order(static_cast<std::size_t>(axis.size));
    std::iota(order.begin(), order.end(), 0);
    std::partial_sort(order.begin(), order.begin() + count, order.end(), before);
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t to = (outer * count + i) * axis.inner + inner;
      const std::int64_t place = order[static_cast<std::size_t>(i)];
      if (indices != nullptr) data_of<std::int64_t>(*indices)[to] = place;
      if (values != nullptr)
        set_element(*values, to, element<W>(x, before.from + place * axis.inner));
    }
  });
}

Status run_top(Call& call) {
  const Value& x = *call.inputs[0];
  THIMBLE_ASSIGN(const std::size_t axis,
                 axis_at(call.instruction.integer("axis", -1), x.dims.size()));
  THIMBLE_ASSIGN(const auto count, integers_of(*call.inputs[1]));
  return with_family(x.type, [&](auto zero) {
    take_top<decltype(zero)>(call, axis_view(x.dims, axis), count[0]);
    return ok();
  });
}

}  // namespace

std::span<const Operator> choosing_operators() {
  static constexpr Operator kOperators[] = {
      {Op::kArgMax, run_arg, nullptr, shape_arg},
      {Op::kArgMin, run_arg, nullptr, shape_arg},
      {Op::kTopK, run_top, nullptr, shape_top},
  };
  return kOperators;
}

}  // namespace thimble::runtime

// Softmax, LogSoftmax and Hardmax along any axis.

#include "runtime/ops/numbers.h"
#include "support/math.h"

namespace thimble::runtime {
namespace {

using program::Op;
using program::Type;

Status shape_softmax(const Call& call, std::vector<Dims>& results) {
  const Value& x = *call.inputs[0];
  THIMBLE_TRY(demand(family_of(x.type) == Family::kReal && call.outputs[0]->type == x.type,
                     "a softmax takes floats"));
  THIMBLE_TRY(axis_at(call.instruction.integer("axis", -1), x.dims.size()));
  results[0] = x.dims;
  return ok();
}

// One line of `axis.size` elements that are `axis.inner` apart, from `at` on.
void one_line(Op op, const Value& x, Value& y, const Axis& axis, std::int64_t at) {
  const std::int64_t end = at + axis.size * axis.inner;
  std::int64_t where = at;
  double top = element<double>(x, at);
  for (std::int64_t i = at; i < end; i += axis.inner) {
    const double v = element<double>(x, i);
    if (!(v > top)) continue;
    top = v;
    where = i;
  }
  double sum = 0;
  if (op != Op::kHardmax) {
    for (std::int64_t i = at; i < end; i += axis.inner)
      sum += math::exp(element<double>(x, i) - top);
  }
  const double log_sum = op == Op::kLogSoftmax ? math::log(sum) : 0;
  for (std::int64_t i = at; i < end; i += axis.inner) {
    const double off = element<double>(x, i) - top;
    set_element(y, i,
                op == Op::kHardmax      ? static_cast<double>(i == where)
                : op == Op::kLogSoftmax ? off - log_sum
                                        : math::exp(off) / sum);
  }
}

Status run_softmax(Call& call) {
  const Value& x = *call.inputs[0];
  Value& y = *call.outputs[0];
  const Op op = call.instruction.op;
  THIMBLE_ASSIGN(const std::size_t at,
                 axis_at(call.instruction.integer("axis", -1), x.dims.size()));
  const Axis axis = axis_view(x.dims, at);
  if (x.count() == 0) return ok();
  if (op == Op::kSoftmax && axis.inner == 1 && x.type == Type::kF32) {
    const std::int64_t width = axis.size;
    over_rows(call.machine, axis.outer, width * 4, [&](std::int64_t begin, std::int64_t end) {
      const std::int64_t from = begin * width;
      call.machine.rows.softmax(x.floats() + from, end - begin, width, y.floats() + from);
    });
    return ok();
  }
  over_each(call.machine, axis.outer * axis.inner, axis.size * 16, [&](std::int64_t line) {
    one_line(op, x, y, axis, line / axis.inner * axis.size * axis.inner + line % axis.inner);
  });
  return ok();
}

}  // namespace

std::span<const Operator> softmax_operators() {
  static constexpr Operator kOperators[] = {
      {Op::kSoftmax, run_softmax, nullptr, shape_softmax},
      {Op::kLogSoftmax, run_softmax, nullptr, shape_softmax},
      {Op::kHardmax, run_softmax, nullptr, shape_softmax},
  };
  return kOperators;
}

}  // namespace thimble::runtime

// Reductions over any axes of values of any type.

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "runtime/ops/numbers.h"
#include "support/math.h"

namespace thimble::runtime {
namespace {

using program::Op;
using program::Type;

enum class Reduce : std::uint8_t {
  kSum,
  kMean,
  kMax,
  kMin,
  kL2,
  kProd,
  kL1,
  kSumSquare,
  kLogSum,
  kLogSumExp
};

constexpr std::pair<std::string_view, Reduce> kNames[] = {
    {"ReduceSum", Reduce::kSum},       {"ReduceMean", Reduce::kMean},
    {"ReduceMax", Reduce::kMax},       {"ReduceMin", Reduce::kMin},
    {"ReduceL2", Reduce::kL2},         {"ReduceProd", Reduce::kProd},
    {"ReduceL1", Reduce::kL1},         {"ReduceSumSquare", Reduce::kSumSquare},
    {"ReduceLogSum", Reduce::kLogSum}, {"ReduceLogSumExp", Reduce::kLogSumExp},
};

// kReduce says a number (program::ReduceFunction, whose first ones these are), kReduceOver a name.
Expected<Reduce> kind_of(const Call& call) {
  const program::Attribute* function = call.instruction.find("function");
  if (function == nullptr) return invalid_argument("a reduction is unnamed");
  if (call.instruction.op == Op::kReduce)
    return static_cast<Reduce>(call.instruction.integer("function", 0));
  for (const auto& [name, kind] : kNames) {
    if (name == function->text) return kind;
  }
  return unsupported("the reduction '" + function->text + "' is unknown");
}

// Which axes go.
Expected<std::vector<bool>> reduced_axes(const Call& call) {
  const std::size_t rank = call.inputs[0]->dims.size();
  Dims axes(list_of(call, "axes").begin(), list_of(call, "axes").end());
  if (const Value* given = input_at(call, 1)) {
    THIMBLE_ASSIGN(axes, integers_of(*given));
  }
  const bool all = call.instruction.op == Op::kReduceOver && axes.empty() &&
                   call.instruction.integer("noop_with_empty_axes", 0) == 0;
  std::vector<bool> gone(rank, all);
  for (const std::int64_t axis : axes) {
    THIMBLE_ASSIGN(const std::size_t at, axis_at(axis, rank));
    gone[at] = true;
  }
  return gone;
}

Status shape_reduce(const Call& call, std::vector<Dims>& results) {
  THIMBLE_TRY(demand(call.inputs[0]->type == call.outputs[0]->type, "a reduction keeps the type"));
  THIMBLE_TRY(kind_of(call));
  THIMBLE_ASSIGN(const std::vector<bool> gone, reduced_axes(call));
  const bool keeps = call.instruction.integer("keepdims", 1) != 0;
  Dims out;
  for (std::size_t d = 0; d < gone.size(); ++d) {
    if (!gone[d] || keeps) out.push_back(gone[d] ? 1 : call.inputs[0]->dims[d]);
  }
  results[0] = std::move(out);
  return ok();
}

// The accumulator of a fold over numbers of type W: double, i64 or u64.
template <class W>
struct Fold {
  Reduce kind = Reduce::kSum;
  W total = start(kind);
  double sum = 0;  // kLogSumExp: of exp(x - total)

  static W start(Reduce kind) {
    using Limits = std::numeric_limits<W>;
    if (kind == Reduce::kProd) return 1;
    if (kind == Reduce::kMax || kind == Reduce::kLogSumExp)
      return Limits::has_infinity ? -Limits::infinity() : Limits::lowest();
    if (kind == Reduce::kMin) return Limits::has_infinity ? Limits::infinity() : Limits::max();
    return 0;
  }

  void add(W x) {
    switch (kind) {
      case Reduce::kMax:
        total = x > total || x != x ? x : total;
        break;
      case Reduce::kMin:
        total = x < total || x != x ? x : total;
        break;
      case Reduce::kProd:
        total = multiplied(total, x);
        break;
      case Reduce::kL1:
        total = added(total, x < 0 ? static_cast<W>(W{} - x) : x);
        break;
      case Reduce::kL2:
      case Reduce::kSumSquare:
        total = added(total, multiplied(x, x));
        break;
      case Reduce::kLogSumExp:
        add_exponential(x);
        break;
      default:
        total = added(total, x);
        break;
    }
  }

  W finish(std::int64_t count) const {
    switch (kind) {
      case Reduce::kMean:
        if constexpr (std::is_integral_v<W>)
          return count > 0 ? static_cast<W>(total / static_cast<W>(count)) : 0;
        else
          return total / static_cast<W>(count);
      case Reduce::kL2:
        return static_cast<W>(std::sqrt(static_cast<double>(total)));
      case Reduce::kLogSum:
        return converted(math::log(static_cast<double>(total)));
      case Reduce::kLogSumExp:
        return converted(sum > 0 ? static_cast<double>(total) + math::log(sum)
                                 : static_cast<double>(total));
      default:
        return total;
    }
  }

 private:
  static W converted(double x) {
    if constexpr (std::is_integral_v<W>)
      return static_cast<W>(whole(x));
    else
      return x;
  }
  // Whole numbers wrap around.
  static W added(W a, W b) {
    if constexpr (std::is_integral_v<W>)
      return static_cast<W>(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
    else
      return a + b;
  }
  static W multiplied(W a, W b) {
    if constexpr (std::is_integral_v<W>)
      return static_cast<W>(static_cast<std::uint64_t>(a) * static_cast<std::uint64_t>(b));
    else
      return a * b;
  }
  // The largest so far is taken out of every exponent, so that none overflows.
  void add_exponential(W x) {
    const auto wide = static_cast<double>(x), top = static_cast<double>(total);
    if (x > total) {
      sum = sum * math::exp(top - wide) + 1;
      total = x;
    } else if (wide == top) {
      sum += 1;
    } else {
      sum += math::exp(wide - top);
    }
  }
};

// What the least and largest of narrower types are, where nothing was there to compare.
void set_empty(Value& y, std::int64_t i, Reduce kind) {
  const bool most = kind == Reduce::kMin;
  if (y.type == Type::kBool) {
    set_element(y, i, static_cast<std::int64_t>(most));
  } else if (y.type != Type::kI64 && y.type != Type::kU64 && family_of(y.type) != Family::kReal) {
    const Range range = range_of(y.type);
    set_element(y, i, most ? range.most : range.least);
  } else if (y.type == Type::kU64) {
    set_element(y, i, Fold<std::uint64_t>::start(kind));
  } else if (y.type == Type::kI64) {
    set_element(y, i, Fold<std::int64_t>::start(kind));
  } else {
    set_element(y, i, Fold<double>::start(kind));
  }
}

struct Axes {
  Dims kept_dims, kept, gone_dims, gone;  // sizes, and strides in the input
};

template <class W>
void reduce_elements(Call& call, Reduce kind, const Axes& axes) {
  const Value& x = *call.inputs[0];
  Value& y = *call.outputs[0];
  const std::int64_t count = count_of(axes.gone_dims);
  over_each(call.machine, y.count(), count * 4, [&](std::int64_t i) {
    if (count == 0 && (kind == Reduce::kMax || kind == Reduce::kMin)) return set_empty(y, i, kind);
    std::int64_t base = 0, rest = i;
    for (std::size_t d = axes.kept_dims.size(); d-- > 0; rest /= axes.kept_dims[d])
      base += rest % axes.kept_dims[d] * axes.kept[d];
    Fold<W> fold{kind};
    each_element<1>(axes.gone_dims, {axes.gone},
                    [&](std::int64_t, const std::array<std::int64_t, 1>& at) {
                      fold.add(element<W>(x, base + at[0]));
                    });
    set_element(y, i, fold.finish(count));
  });
}

// f32 over axes that lie together, [outer, gone, inner], in one pass over memory.
struct Block {
  const float* x;
  std::int64_t outer, gone, inner;
  float* y;
};
constexpr std::int64_t kColumns = 64;  // of `inner`, folded side by side

// Sums in f64 of term(x), where `inner` is 1: eight, so that one needn't wait for another.
template <class F>
double sum_of_row(const float* x, std::int64_t count, F term) {
  std::array<double, 8> sums{};
  std::int64_t i = 0;
  for (; i + 8 <= count; i += 8) {
    for (std::size_t s = 0; s < 8; ++s)
      sums[s] += term(static_cast<double>(x[i + static_cast<std::int64_t>(s)]));
  }
  for (std::size_t s = 0; i < count; ++i, ++s) sums[s] += term(static_cast<double>(x[i]));
  double sum = 0;
  for (const double part : sums) sum += part;
  return sum;
}

// The sums of so many columns whose rows are `step` apart.
template <class F>
void sum_columns(const float* x, std::int64_t rows, std::int64_t step, std::int64_t columns,
                 double* sums, F term) {
  std::fill_n(sums, columns, 0.0);
  for (std::int64_t row = 0; row < rows; ++row, x += step) {
    std::int64_t c = 0;
    for (; c + 8 <= columns; c += 8) {
      for (std::int64_t s = 0; s < 8; ++s) sums[c + s] += term(static_cast<double>(x[c + s]));
    }
    for (; c < columns; ++c) sums[c] += term(static_cast<double>(x[c]));
  }
}

template <class F>
void sum_block(Call& call, Reduce kind, const Block& b, F term) {
  const std::int64_t parts = ceil_div(b.inner, kColumns);
  const auto finish = [&](double sum) {
    Fold<double> fold{kind};
    fold.total = sum;
    return static_cast<float>(fold.finish(b.gone));
  };
  if (b.inner == 1) {
    return over_each(call.machine, b.outer, b.gone, [&](std::int64_t row) {
      b.y[row] = finish(sum_of_row(b.x + row * b.gone, b.gone, term));
    });
  }
  over_each(
      call.machine, b.outer * parts, b.gone * std::min(b.inner, kColumns), [&](std::int64_t part) {
        const std::int64_t outer = part / parts, column = part % parts * kColumns;
        const std::int64_t columns = std::min(kColumns, b.inner - column);
        double sums[kColumns];
        sum_columns(b.x + outer * b.gone * b.inner + column, b.gone, b.inner, columns, sums, term);
        for (std::int64_t c = 0; c < columns; ++c)
          b.y[outer * b.inner + column + c] = finish(sums[c]);
      });
}

void fold_block(Call& call, Reduce kind, const Block& b) {
  const std::int64_t parts = ceil_div(b.inner, kColumns);
  over_each(call.machine, b.outer * parts, b.gone * std::min(b.inner, kColumns),
            [&](std::int64_t part) {
              const std::int64_t outer = part / parts, column = part % parts * kColumns;
              const std::int64_t columns = std::min(kColumns, b.inner - column);
              Fold<double> folds[kColumns];
              for (Fold<double>& fold : folds) fold = Fold<double>{kind};
              const float* from = b.x + outer * b.gone * b.inner + column;
              for (std::int64_t row = 0; row < b.gone; ++row, from += b.inner) {
                for (std::int64_t c = 0; c < columns; ++c) folds[c].add(from[c]);
              }
              for (std::int64_t c = 0; c < columns; ++c)
                b.y[outer * b.inner + column + c] = static_cast<float>(folds[c].finish(b.gone));
            });
}

bool reduce_block(Call& call, Reduce kind, const std::vector<bool>& gone) {
  const Value& x = *call.inputs[0];
  const auto first = std::find(gone.begin(), gone.end(), true);
  const auto last = std::find(first, gone.end(), false);
  const bool together = std::find(last, gone.end(), true) == gone.end();
  if (x.type != Type::kF32 || !together || x.count() == 0 || kind == Reduce::kLogSumExp)
    return false;
  const auto begin = static_cast<std::size_t>(first - gone.begin());
  const auto end = static_cast<std::size_t>(last - gone.begin());
  const Block block{x.floats(), product_of(x.dims, 0, begin), product_of(x.dims, begin, end),
                    product_of(x.dims, end, x.dims.size()), call.outputs[0]->floats()};
  switch (kind) {
    case Reduce::kSum:
    case Reduce::kMean:
    case Reduce::kLogSum:
      sum_block(call, kind, block, [](double v) { return v; });
      break;
    case Reduce::kL1:
      sum_block(call, kind, block, [](double v) { return std::fabs(v); });
      break;
    case Reduce::kL2:
    case Reduce::kSumSquare:
      sum_block(call, kind, block, [](double v) { return v * v; });
      break;
    default:
      fold_block(call, kind, block);
  }
  return true;
}

Status run_reduce(Call& call) {
  const Value& x = *call.inputs[0];
  THIMBLE_ASSIGN(const Reduce kind, kind_of(call));
  THIMBLE_ASSIGN(const std::vector<bool> gone, reduced_axes(call));
  if (reduce_block(call, kind, gone)) return ok();
  const Dims own = strides_of(x.dims);
  Axes axes;
  for (std::size_t d = 0; d < x.dims.size(); ++d) {
    (gone[d] ? axes.gone_dims : axes.kept_dims).push_back(x.dims[d]);
    (gone[d] ? axes.gone : axes.kept).push_back(own[d]);
  }
  return with_family(x.type, [&](auto zero) {
    reduce_elements<decltype(zero)>(call, kind, axes);
    return ok();
  });
}

}  // namespace

std::span<const Operator> reducing_operators() {
  static constexpr Operator kOperators[] = {
      {Op::kReduce, run_reduce, nullptr, nullptr},
      {Op::kReduceOver, run_reduce, nullptr, shape_reduce},
  };
  return kOperators;
}

}  // namespace thimble::runtime

// Pools: the largest, the mean, the p-norm of windows and of whole images.

#include <cmath>
#include <limits>

#include "runtime/ops/images.h"
#include "runtime/ops/pool_rows.h"
#include "support/math.h"

namespace thimble::runtime {
namespace {

using program::Op;
using program::Type;

// Calls f(plane index) for every plane [batch * channels].
template <class F>
void over_planes(Call& call, std::int64_t cost, F f) {
  const Dims& x = call.inputs[0]->dims;
  over_each(call.machine, x[0] * x[1], cost, f);
}

// Calls f(position in the result, first tap's place, taps per axis) for every window.
template <class F>
void each_window(const Windows& w, F f) {
  std::int64_t at = 0;
  Space start;
  std::array<Taps, 3> taps;
  for (std::int64_t a = 0; a < w.out[0]; ++a) {
    start[0] = a * w.stride[0] - w.begin[0];
    taps[0] = taps_inside(start[0], w.kernel[0], w.dilation[0], w.in[0]);
    for (std::int64_t b = 0; b < w.out[1]; ++b) {
      start[1] = b * w.stride[1] - w.begin[1];
      taps[1] = taps_inside(start[1], w.kernel[1], w.dilation[1], w.in[1]);
      for (std::int64_t c = 0; c < w.out[2]; ++c, ++at) {
        start[2] = c * w.stride[2] - w.begin[2];
        taps[2] = taps_inside(start[2], w.kernel[2], w.dilation[2], w.in[2]);
        f(at, start, taps);
      }
    }
  }
}

// Calls f(place [d, h, w]) for every tap of a window inside the image, in order.
template <class F>
void each_tap(const Windows& w, const Space& start, const std::array<Taps, 3>& taps, F f) {
  for (std::int64_t a = taps[0].first; a < taps[0].last; ++a) {
    for (std::int64_t b = taps[1].first; b < taps[1].last; ++b) {
      for (std::int64_t c = taps[2].first; c < taps[2].last; ++c) {
        f(Space{start[0] + a * w.dilation[0], start[1] + b * w.dilation[1],
                start[2] + c * w.dilation[2]});
      }
    }
  }
}

std::int64_t index_of(const Windows& w, const Space& at) {
  return (at[0] * w.in[1] + at[1]) * w.in[2] + at[2];
}

Expected<Windows> pool_windows(const Call& call) {
  return windows_of(call, call.inputs[0]->dims, {});
}

Status shape_max_pool(const Call& call, std::vector<Dims>& results) {
  const Value& x = *call.inputs[0];
  const bool known = is_real(x.type) || x.type == Type::kI8 || x.type == Type::kU8;
  THIMBLE_TRY(demand(known && call.outputs[0]->type == x.type, "MaxPool takes f32, f64 or bytes"));
  const Value* indices = output_at(call, 1);
  THIMBLE_TRY(
      demand(indices == nullptr || indices->type == Type::kI64, "MaxPool's indices are i64"));
  THIMBLE_ASSIGN(const Windows w, pool_windows(call));
  results[0] = w.result(x.dims[0], x.dims[1]);
  if (results.size() > 1) results[1] = results[0];
  return ok();
}

// An index into the whole input; `columns`: the first spatial axis runs fastest (storage_order 1).
std::int64_t flat_index(const Windows& w, std::int64_t plane, const Space& at, bool columns) {
  const std::int64_t base = plane * volume(w.in);
  if (!columns) return base + index_of(w, at);
  return base + at[0 + (3 - w.rank)] + (w.rank > 1 ? at[4 - w.rank] * w.in[3 - w.rank] : 0) +
         (w.rank > 2 ? at[2] * w.in[0] * w.in[1] : 0);
}

template <class T>
Status max_pool(Call& call, const Windows& w) {
  const T* x = data_of<T>(*call.inputs[0]);
  T* y = data_of<T>(*call.outputs[0]);
  Value* indices = output_at(call, 1);
  const bool columns = call.instruction.integer("storage_order", 0) != 0;
  constexpr T kLeast = std::numeric_limits<T>::has_infinity ? -std::numeric_limits<T>::infinity()
                                                            : std::numeric_limits<T>::lowest();
  over_planes(call, volume(w.out) * volume(w.kernel), [&](std::int64_t plane) {
    const T* from = x + plane * volume(w.in);
    each_window(w, [&](std::int64_t at, const Space& start, const std::array<Taps, 3>& taps) {
      T most = kLeast;
      Space where{};
      bool found = false;
      each_tap(w, start, taps, [&](const Space& tap) {
        const T value = from[index_of(w, tap)];
        if (found && !(value > most)) return;
        most = value;
        where = tap;
        found = true;
      });
      const std::int64_t to = plane * volume(w.out) + at;
      y[to] = most;
      if (indices != nullptr)
        data_of<std::int64_t>(*indices)[to] = flat_index(w, plane, where, columns);
    });
  });
  return ok();
}

std::size_t scratch_pool(const Call& call) {
  const auto w = pool_windows(call);
  return w && pools_by_rows(call, *w) ? row_pool_bytes(call, *w) : 0;
}

Status run_max_pool(Call& call) {
  THIMBLE_ASSIGN(const Windows w, pool_windows(call));
  if (pools_by_rows(call, w)) return pool_rows(call, w, Pooled::kMost);
  switch (call.inputs[0]->type) {
    case Type::kF32:
      return max_pool<float>(call, w);
    case Type::kF64:
      return max_pool<double>(call, w);
    case Type::kI8:
      return max_pool<std::int8_t>(call, w);
    default:
      return max_pool<std::uint8_t>(call, w);
  }
}

Status shape_pool(const Call& call, std::vector<Dims>& results) {
  const Value& x = *call.inputs[0];
  THIMBLE_TRY(
      demand(is_real(x.type) && call.outputs[0]->type == x.type, "a pool takes f32 or f64"));
  THIMBLE_TRY(demand(call.instruction.integer("p", 2) > 0, "a pool's p isn't positive"));
  THIMBLE_ASSIGN(const Windows w, pool_windows(call));
  results[0] = w.result(x.dims[0], x.dims[1]);
  return ok();
}

// Taps of a window that lie in the image or its padding.
std::int64_t padded_taps(const Windows& w, const Space& start) {
  std::int64_t count = 1;
  for (std::size_t d = 0; d < 3; ++d) {
    const Taps taps = taps_inside(start[d], w.kernel[d], w.dilation[d], w.in[d] + w.end[d]);
    count *= taps.last;  // those before the image lie in the padding
  }
  return count;
}

template <class T>
Status average_pool(Call& call, const Windows& w) {
  const T* x = data_of<T>(*call.inputs[0]);
  T* y = data_of<T>(*call.outputs[0]);
  const bool padding = call.instruction.integer("count_include_pad", 0) != 0;
  over_planes(call, volume(w.out) * volume(w.kernel), [&](std::int64_t plane) {
    const T* from = x + plane * volume(w.in);
    each_window(w, [&](std::int64_t at, const Space& start, const std::array<Taps, 3>& taps) {
      T sum = 0;
      std::int64_t count = 0;
      each_tap(w, start, taps, [&](const Space& tap) {
        sum += from[index_of(w, tap)];
        ++count;
      });
      if (padding) count = padded_taps(w, start);
      y[plane * volume(w.out) + at] = count > 0 ? sum / static_cast<T>(count) : T{};
    });
  });
  return ok();
}

double power_sum(double sum, double value, std::int64_t p) {
  const double size = std::fabs(value);
  return sum + (p == 1 ? size : p == 2 ? size * size : math::pow(size, static_cast<double>(p)));
}
double power_root(double sum, std::int64_t p) {
  return p == 1 ? sum : p == 2 ? std::sqrt(sum) : math::pow(sum, 1.0 / static_cast<double>(p));
}

template <class T>
Status lp_pool(Call& call, const Windows& w) {
  const T* x = data_of<T>(*call.inputs[0]);
  T* y = data_of<T>(*call.outputs[0]);
  const std::int64_t p = call.instruction.integer("p", 2);
  over_planes(call, volume(w.out) * volume(w.kernel), [&](std::int64_t plane) {
    const T* from = x + plane * volume(w.in);
    each_window(w, [&](std::int64_t at, const Space& start, const std::array<Taps, 3>& taps) {
      double sum = 0;
      each_tap(w, start, taps,
               [&](const Space& tap) { sum = power_sum(sum, from[index_of(w, tap)], p); });
      y[plane * volume(w.out) + at] = static_cast<T>(power_root(sum, p));
    });
  });
  return ok();
}

Status run_average_pool(Call& call) {
  THIMBLE_ASSIGN(const Windows w, pool_windows(call));
  if (pools_by_rows(call, w)) return pool_rows(call, w, Pooled::kMean);
  return with_real(call.inputs[0]->type,
                   [&](auto zero) { return average_pool<decltype(zero)>(call, w); });
}

Status run_lp_pool(Call& call) {
  THIMBLE_ASSIGN(const Windows w, pool_windows(call));
  return with_real(call.inputs[0]->type,
                   [&](auto zero) { return lp_pool<decltype(zero)>(call, w); });
}

// Whole images.

Status shape_global(const Call& call, std::vector<Dims>& results) {
  const Value& x = *call.inputs[0];
  THIMBLE_TRY(demand(is_real(x.type) && call.outputs[0]->type == x.type && x.dims.size() >= 2,
                     "a pool takes f32 or f64 images"));
  THIMBLE_TRY(demand(call.instruction.integer("p", 2) > 0, "a pool's p isn't positive"));
  results[0].assign(x.dims.size(), 1);
  results[0][0] = x.dims[0];
  results[0][1] = x.dims[1];
  return ok();
}

template <class T>
T whole_image(Op op, const T* x, std::int64_t count, std::int64_t p) {
  if (op == Op::kGlobalMaxPool) {
    T most = -std::numeric_limits<T>::infinity();
    for (std::int64_t i = 0; i < count; ++i) most = x[i] > most ? x[i] : most;
    return most;
  }
  // Eight sums, so that one needn't wait for another.
  std::array<double, 8> sums{};
  if (op == Op::kGlobalAveragePool) {
    std::int64_t i = 0;
    for (; i + 8 <= count; i += 8) {
      for (std::size_t s = 0; s < 8; ++s) sums[s] += x[i + static_cast<std::int64_t>(s)];
    }
    for (std::size_t s = 0; i < count; ++i, ++s) sums[s] += x[i];
  } else {
    for (std::int64_t i = 0; i < count; ++i) sums[0] = power_sum(sums[0], x[i], p);
  }
  double sum = 0;
  for (const double part : sums) sum += part;
  return static_cast<T>(op == Op::kGlobalAveragePool ? sum / static_cast<double>(count)
                                                     : power_root(sum, p));
}

Status run_global(Call& call) {
  const Value& x = *call.inputs[0];
  const std::int64_t count = product_of(x.dims, 2, x.dims.size());
  const std::int64_t p = call.instruction.integer("p", 2);
  return with_real(x.type, [&](auto zero) {
    using T = decltype(zero);
    over_planes(call, count, [&](std::int64_t plane) {
      data_of<T>(*call.outputs[0])[plane] =
          whole_image(call.instruction.op, data_of<T>(x) + plane * count, count, p);
    });
    return ok();
  });
}

}  // namespace

std::span<const Operator> pool_operators() {
  static constexpr Operator kOperators[] = {
      {Op::kMaxPool, run_max_pool, scratch_pool, shape_max_pool},
      {Op::kAveragePool, run_average_pool, scratch_pool, shape_pool},
      {Op::kLpPool, run_lp_pool, nullptr, shape_pool},
      {Op::kGlobalAveragePool, run_global, nullptr, shape_global},
      {Op::kGlobalMaxPool, run_global, nullptr, shape_global},
      {Op::kGlobalLpPool, run_global, nullptr, shape_global},
  };
  return kOperators;
}

}  // namespace thimble::runtime

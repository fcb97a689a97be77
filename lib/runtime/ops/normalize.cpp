// Normalizations of images [batch, channels, spatial...].

#include <cmath>

#include "runtime/ops/images.h"
#include "runtime/ops/moments.h"
#include "support/math.h"

namespace thimble::runtime {
namespace {

using program::Op;

Status check_image(const Call& call) {
  const Value& x = *call.inputs[0];
  return demand(is_real(x.type) && call.outputs[0]->type == x.type && x.dims.size() >= 2,
                "a normalization takes f32 or f64 images");
}

// Is every one of inputs [first, end) one number a channel, of x's type?
Status check_channels(const Call& call, std::size_t end) {
  const Value& x = *call.inputs[0];
  for (std::size_t i = 1; i < end; ++i) {
    const Value& v = *call.inputs[i];
    THIMBLE_TRY(demand(v.type == x.type && v.count() == x.dims[1],
                       "a normalization takes one number a channel, of the image's type"));
  }
  return ok();
}

// y = x * factor + shift over the rows [begin, end) of `width`; f(row) says {factor, shift}.
template <class T, class F>
void scale_rows(Call& call, std::int64_t rows, std::int64_t width, F f) {
  const T* x = data_of<T>(*call.inputs[0]);
  T* y = data_of<T>(*call.outputs[0]);
  over_each(call.machine, rows, width, [&](std::int64_t row) {
    const auto [factor, shift] = f(row);
    const T* from = x + row * width;
    T* to = y + row * width;
    for (std::int64_t i = 0; i < width; ++i) to[i] = from[i] * factor + shift;
  });
}

Status shape_batch(const Call& call, std::vector<Dims>& results) {
  THIMBLE_TRY(check_image(call));
  THIMBLE_TRY(check_channels(call, 5));
  const Value& x = *call.inputs[0];
  results[0] = x.dims;
  for (std::size_t i = 1; i < results.size(); ++i) {
    if (call.outputs[i] == nullptr) continue;
    THIMBLE_TRY(demand(call.outputs[i]->type == x.type, "running statistics have x's type"));
    results[i] = {x.dims[1]};
  }
  return ok();
}

// Mean and variance of a channel over all images of the batch.
template <class T>
Moments channel_moments(const Value& x, std::int64_t channel) {
  const std::int64_t width = product_of(x.dims, 2, x.dims.size());
  const T* data = data_of<T>(x) + channel * width;
  const std::int64_t step = x.dims[1] * width;
  const double count = static_cast<double>(x.dims[0] * width);
  Moments m;
  for (std::int64_t n = 0; n < x.dims[0]; ++n) m.mean += sum_of(data + n * step, width);
  m.mean /= count;
  for (std::int64_t n = 0; n < x.dims[0]; ++n)
    m.variance += squares_around(data + n * step, width, m.mean);
  m.variance /= count;
  return m;
}

// What a channel is multiplied by, and what is added.
template <class T>
struct Factors {
  T factor, shift;
};
template <class T>
Factors<T> factors_of(const Call& call, const Moments& m, std::int64_t channel) {
  const double epsilon = call.instruction.real("epsilon", 1e-5f);
  const double factor =
      static_cast<double>(data_of<T>(*call.inputs[1])[channel]) / std::sqrt(m.variance + epsilon);
  const double bias = data_of<T>(*call.inputs[2])[channel];
  return {static_cast<T>(factor), static_cast<T>(bias - m.mean * factor)};
}

template <class T>
Status normalize_batch(Call& call) {
  const Value& x = *call.inputs[0];
  const std::int64_t channels = x.dims[1];
  const std::int64_t width = product_of(x.dims, 2, x.dims.size());
  const T* means = data_of<T>(*call.inputs[3]);
  const T* variances = data_of<T>(*call.inputs[4]);
  if (call.instruction.integer("training_mode", 0) == 0) {
    scale_rows<T>(call, x.dims[0] * channels, width, [&](std::int64_t row) {
      const std::int64_t c = row % channels;
      return factors_of<T>(call, {means[c], variances[c]}, c);
    });
    return ok();
  }
  const double momentum = call.instruction.real("momentum", 0.9f);
  for (std::int64_t c = 0; c < channels; ++c) {
    const Moments m = channel_moments<T>(x, c);
    const auto [factor, shift] = factors_of<T>(call, m, c);
    for (std::int64_t n = 0; n < x.dims[0]; ++n) {
      const std::int64_t at = (n * channels + c) * width;
      for (std::int64_t i = at; i < at + width; ++i)
        data_of<T>(*call.outputs[0])[i] = data_of<T>(x)[i] * factor + shift;
    }
    if (Value* mean = output_at(call, 1))
      data_of<T>(*mean)[c] = static_cast<T>(means[c] * momentum + m.mean * (1 - momentum));
    if (Value* variance = output_at(call, 2)) {
      data_of<T>(*variance)[c] =
          static_cast<T>(variances[c] * momentum + m.variance * (1 - momentum));
    }
  }
  return ok();
}

Status run_batch(Call& call) {
  return with_real(call.inputs[0]->type,
                   [&](auto zero) { return normalize_batch<decltype(zero)>(call); });
}

Status shape_groups(const Call& call, std::vector<Dims>& results) {
  THIMBLE_TRY(check_image(call));
  THIMBLE_TRY(check_channels(call, 3));
  const Dims& x = call.inputs[0]->dims;
  if (call.instruction.op == Op::kGroupNormalization) {
    const std::int64_t groups = call.instruction.integer("num_groups", 0);
    THIMBLE_TRY(demand(groups > 0 && x[1] % groups == 0, "num_groups doesn't divide the channels"));
  }
  results[0] = x;
  return ok();
}

// Instances are groups of one channel.
template <class T>
Status normalize_groups(Call& call) {
  const Value& x = *call.inputs[0];
  const std::int64_t channels = x.dims[1];
  const std::int64_t groups = call.instruction.integer("num_groups", channels);
  const std::int64_t width = product_of(x.dims, 2, x.dims.size());
  if (groups == 0) return ok();
  const std::int64_t own = channels / groups;
  over_each(call.machine, x.dims[0] * groups, own * width, [&](std::int64_t g) {
    const T* from = data_of<T>(x) + g * own * width;
    T* to = data_of<T>(*call.outputs[0]) + g * own * width;
    const Moments m = moments_of(from, own * width);
    for (std::int64_t c = 0; c < own; ++c) {
      const auto [factor, shift] = factors_of<T>(call, m, g % groups * own + c);
      for (std::int64_t i = c * width; i < (c + 1) * width; ++i) to[i] = from[i] * factor + shift;
    }
  });
  return ok();
}

Status run_groups(Call& call) {
  return with_real(call.inputs[0]->type,
                   [&](auto zero) { return normalize_groups<decltype(zero)>(call); });
}

Status shape_lrn(const Call& call, std::vector<Dims>& results) {
  THIMBLE_TRY(check_image(call));
  const std::int64_t size = call.instruction.integer("size", 0);
  THIMBLE_TRY(demand(size > 0 && size < 1 << 30, "LRN's size is out of range"));
  results[0] = call.inputs[0]->dims;
  return ok();
}

// f(plane, first, last) for each plane of LRN: the channels that its elements are divided by, from
// `first` to `last` of its own.
template <class F>
void over_neighbours(Call& call, F f) {
  const Dims& dims = call.inputs[0]->dims;
  const std::int64_t channels = dims[1], size = call.instruction.integer("size", 1);
  over_each(call.machine, dims[0] * channels, product_of(dims, 2, dims.size()) * size,
            [&](std::int64_t p) {
              const std::int64_t c = p % channels;
              f(p, std::max(-(size - 1) / 2, -c), std::min(size / 2, channels - 1 - c));
            });
}

template <class T>
Status respond(Call& call) {
  const Value& x = *call.inputs[0];
  const std::int64_t size = call.instruction.integer("size", 1);
  const std::int64_t width = product_of(x.dims, 2, x.dims.size());
  const double alpha = call.instruction.real("alpha", 1e-4f) / static_cast<double>(size);
  const double beta = call.instruction.real("beta", 0.75f);
  const double bias = call.instruction.real("bias", 1.0f);
  over_neighbours(call, [&](std::int64_t p, std::int64_t first, std::int64_t last) {
    const T* from = data_of<T>(x) + p * width;
    for (std::int64_t i = 0; i < width; ++i) {
      double sum = 0;
      for (std::int64_t k = first; k <= last; ++k) {
        const double value = from[k * width + i];
        sum += value * value;
      }
      data_of<T>(*call.outputs[0])[p * width + i] =
          static_cast<T>(from[i] / math::pow(bias + alpha * sum, beta));
    }
  });
  return ok();
}

// The usual power in f32, a run of elements at a time: d^(3/4) = sqrt(d) * sqrt(sqrt(d)).
Status respond_rows(Call& call) {
  constexpr std::int64_t kRun = 256;
  using kernels::Function;
  using kernels::Pair;
  const Value& x = *call.inputs[0];
  const kernels::RowKernels& rows = call.machine.rows;
  const std::int64_t width = product_of(x.dims, 2, x.dims.size());
  const float alpha = call.instruction.real("alpha", 1e-4f) /
                      static_cast<float>(call.instruction.integer("size", 1));
  const float bias = call.instruction.real("bias", 1.0f);
  over_neighbours(call, [&](std::int64_t p, std::int64_t first, std::int64_t last) {
    for (std::int64_t i = 0; i < width; i += kRun) {
      const std::int64_t count = std::min(kRun, width - i);
      const float* from = x.floats() + p * width + i;
      float sum[kRun] = {}, part[kRun];
      for (std::int64_t k = first; k <= last; ++k) {
        const float* other = from + k * width;
        rows.pair(Pair::kMul, other, other, count, part);
        rows.pair(Pair::kAdd, sum, part, count, sum);
      }
      for (float& one : sum) one = bias + alpha * one;
      rows.map(Function::kSqrt, sum, count, sum);
      rows.map(Function::kSqrt, sum, count, part);
      rows.pair(Pair::kMul, sum, part, count, sum);
      rows.pair(Pair::kDiv, from, sum, count, call.outputs[0]->floats() + p * width + i);
    }
  });
  return ok();
}

Status run_lrn(Call& call) {
  if (call.inputs[0]->type == program::Type::kF32 &&
      call.instruction.real("beta", 0.75f) == 0.75f) {
    return respond_rows(call);
  }
  return with_real(call.inputs[0]->type, [&](auto zero) { return respond<decltype(zero)>(call); });
}

Status shape_lp(const Call& call, std::vector<Dims>& results) {
  const Value& x = *call.inputs[0];
  const std::int64_t p = call.instruction.integer("p", 2);
  THIMBLE_TRY(demand(is_real(x.type) && call.outputs[0]->type == x.type && (p == 1 || p == 2),
                     "LpNormalization takes f32 or f64, and p 1 or 2"));
  THIMBLE_TRY(axis_at(call.instruction.integer("axis", -1), x.dims.size()));
  results[0] = x.dims;
  return ok();
}

template <class T>
Status normalize_lp(Call& call, std::size_t axis) {
  const Value& x = *call.inputs[0];
  const std::int64_t inner = product_of(x.dims, axis + 1, x.dims.size()), size = x.dims[axis];
  const bool squares = call.instruction.integer("p", 2) == 2;
  T* y = data_of<T>(*call.outputs[0]);
  over_each(call.machine, product_of(x.dims, 0, axis) * inner, size, [&](std::int64_t r) {
    const std::int64_t at = r / inner * size * inner + r % inner;
    double sum = 0;
    for (std::int64_t i = 0; i < size; ++i) {
      const double value = data_of<T>(x)[at + i * inner];
      sum += squares ? value * value : std::fabs(value);
    }
    const double norm = squares ? std::sqrt(sum) : sum;
    for (std::int64_t i = at; i < at + size * inner; i += inner)
      y[i] = norm == 0 ? T{} : static_cast<T>(data_of<T>(x)[i] / norm);
  });
  return ok();
}

Status run_lp(Call& call) {
  THIMBLE_ASSIGN(const std::size_t axis,
                 axis_at(call.instruction.integer("axis", -1), call.inputs[0]->dims.size()));
  return with_real(call.inputs[0]->type,
                   [&](auto zero) { return normalize_lp<decltype(zero)>(call, axis); });
}

// Strides that lead every element to its mean: 0 along the axes that are averaged over.
Expected<Dims> mean_strides(const Call& call) {
  const Dims& x = call.inputs[0]->dims;
  const program::Attribute* attribute = call.instruction.find("axes");
  Dims kept = x;
  for (const std::int64_t axis :
       attribute != nullptr ? attribute->ints : std::vector<std::int64_t>{0, 2, 3}) {
    THIMBLE_ASSIGN(const std::size_t at, axis_at(axis, x.size()));
    kept[at] = 1;
  }
  return broadcast_strides(kept, x);
}

Status shape_mean_variance(const Call& call, std::vector<Dims>& results) {
  const Value& x = *call.inputs[0];
  THIMBLE_TRY(demand(is_real(x.type) && call.outputs[0]->type == x.type,
                     "MeanVarianceNormalization takes f32 or f64"));
  THIMBLE_TRY(mean_strides(call));
  results[0] = x.dims;
  return ok();
}

std::size_t scratch_mean_variance(const Call& call) {
  return static_cast<std::size_t>(call.inputs[0]->count()) * 2 * sizeof(double);
}

template <class T>
Status normalize_mean_variance(Call& call, const Dims& strides) {
  using At = std::array<std::int64_t, 1>;
  const Value& x = *call.inputs[0];
  const T* from = data_of<T>(x);
  T* to = data_of<T>(*call.outputs[0]);
  auto* means = reinterpret_cast<double*>(call.scratch.data());
  double* squares = means + x.count();
  std::int64_t size = 1;
  for (std::size_t d = 0; d < strides.size(); ++d) size *= strides[d] == 0 ? x.dims[d] : 1;
  const auto count = static_cast<double>(size);
  std::fill_n(means, 2 * x.count(), 0.0);
  each_element<1>(x.dims, {strides},
                  [&](std::int64_t i, const At& at) { means[at[0]] += from[i] / count; });
  each_element<1>(x.dims, {strides}, [&](std::int64_t i, const At& at) {
    const double off = from[i] - means[at[0]];
    squares[at[0]] += off * off / count;
  });
  each_element<1>(x.dims, {strides}, [&](std::int64_t i, const At& at) {
    to[i] = static_cast<T>((from[i] - means[at[0]]) / (std::sqrt(squares[at[0]]) + 1e-9));
  });
  return ok();
}

Status run_mean_variance(Call& call) {
  THIMBLE_ASSIGN(const Dims strides, mean_strides(call));
  return with_real(call.inputs[0]->type, [&](auto zero) {
    return normalize_mean_variance<decltype(zero)>(call, strides);
  });
}

}  // namespace

std::span<const Operator> normalization_operators() {
  static constexpr Operator kOperators[] = {
      {Op::kBatchNormalization, run_batch, nullptr, shape_batch},
      {Op::kInstanceNormalization, run_groups, nullptr, shape_groups},
      {Op::kGroupNormalization, run_groups, nullptr, shape_groups},
      {Op::kLrn, run_lrn, nullptr, shape_lrn},
      {Op::kLpNormalization, run_lp, nullptr, shape_lp},
      {Op::kMeanVarianceNormalization, run_mean_variance, scratch_mean_variance,
       shape_mean_variance},
  };
  return kOperators;
}

}  // namespace thimble::runtime

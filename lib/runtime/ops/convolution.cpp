// Convolutions of real numbers, forwards and transposed.

#include "runtime/ops/convolve.h"
#include "support/checked.h"

namespace thimble::runtime {
namespace {

Status check_bias(const Value* bias, const Value& x, std::int64_t outputs) {
  return demand(bias == nullptr || (bias->type == x.type && bias->count() == outputs),
                "a convolution's bias has the wrong type or shape");
}

Status shape_conv(const Call& call, std::vector<Dims>& results) {
  const Value &x = *call.inputs[0], &weight = *call.inputs[1];
  if (!is_real(x.type) || weight.type != x.type || call.outputs[0]->type != x.type)
    return unsupported("a convolution takes f32 or f64 values and weights");
  THIMBLE_ASSIGN(const Convolution c, convolution_of(call, x.dims, weight.dims));
  THIMBLE_TRY(check_bias(input_at(call, 2), x, c.outputs));
  results[0] = c.windows.result(c.batch, c.outputs);
  return ok();
}

// One plane of the result.
template <class T>
void convolve_plane(const Convolution& c, const T* x, const T* weight, T bias, T* y) {
  const Windows& w = c.windows;
  std::fill_n(y, volume(w.out), bias);
  for (std::int64_t i = 0; i < c.group_channels(); ++i) {
    const T* plane = x + i * volume(w.in);
    const T* taps = weight + i * volume(w.kernel);
    each_row(w, [&](std::int64_t tap, std::int64_t from, std::int64_t to, std::int64_t columns) {
      for (std::int64_t k = 0; k < columns; ++k)
        y[to + k] += taps[tap] * plane[from + k * w.stride[2]];
    });
  }
}

template <class T>
Status convolve(Call& call, const Convolution& c) {
  const Windows& w = c.windows;
  const T* x = data_of<T>(*call.inputs[0]);
  const T* weight = data_of<T>(*call.inputs[1]);
  const Value* bias = input_at(call, 2);
  T* y = data_of<T>(*call.outputs[0]);
  const std::int64_t taps = c.group_channels() * volume(w.kernel);
  over_rows(call.machine, c.batch * c.outputs, taps * volume(w.out),
            [&](std::size_t begin, std::size_t end) {
              for (auto p = static_cast<std::int64_t>(begin); p < static_cast<std::int64_t>(end);
                   ++p) {
                const std::int64_t n = p / c.outputs, o = p % c.outputs;
                const std::int64_t first = o / c.group_outputs() * c.group_channels();
                convolve_plane(c, x + (n * c.channels + first) * volume(w.in), weight + o * taps,
                               bias == nullptr ? T{} : data_of<T>(*bias)[o], y + p * volume(w.out));
              }
            });
  return ok();
}

Status run_conv(Call& call) {
  THIMBLE_ASSIGN(const Convolution c,
                 convolution_of(call, call.inputs[0]->dims, call.inputs[1]->dims));
  return with_real(call.inputs[0]->type,
                   [&](auto zero) { return convolve<decltype(zero)>(call, c); });
}

// A transposed convolution's: `in` is the image that is spread, `out` what comes of it.
Status size_transposed(const Call& call, Windows& w) {
  const program::Attribute* shape = call.instruction.find("output_shape");
  const program::Attribute* extra = call.instruction.find("output_padding");
  const program::Attribute* pads = call.instruction.find("pads");
  const std::string_view pad = call.instruction.text("auto_pad", "NOTSET");
  const bool same = pad == "SAME_UPPER" || pad == "SAME_LOWER";
  const bool sized = shape != nullptr && !shape->ints.empty();
  if (sized && shape->ints.size() < w.rank) return invalid_argument("output_shape is too short");
  for (std::size_t i = 0; i < w.rank; ++i) {
    const std::size_t d = 3 - w.rank + i;
    std::int64_t added = 0;
    if (extra != nullptr && !extra->ints.empty()) {
      if (extra->ints.size() != w.rank || extra->ints[i] < 0 || extra->ints[i] >= 1 << 30)
        return invalid_argument("output_padding is out of range");
      added = extra->ints[i];
    }
    const std::int64_t full = (w.in[d] - 1) * w.stride[d] + added + w.extent(d);
    if (sized || same) {
      w.out[d] = sized ? shape->ints[shape->ints.size() - w.rank + i] : w.in[d] * w.stride[d];
      if (w.out[d] < 0 || w.out[d] > std::int64_t{1} << 40)
        return invalid_argument("output_shape is out of range");
      const std::int64_t all = std::max<std::int64_t>(full - w.out[d], 0);
      w.begin[d] = pad == "SAME_UPPER" ? all / 2 : all - all / 2;
      continue;
    }
    std::int64_t end = 0;
    if (pads != nullptr && !pads->ints.empty() && pad != "VALID") {
      if (pads->ints.size() != 2 * w.rank) return invalid_argument("pads doesn't fit the image");
      w.begin[d] = pads->ints[i];
      end = pads->ints[w.rank + i];
      if (w.begin[d] < 0 || end < 0 || w.begin[d] > 1 << 30 || end > 1 << 30)
        return invalid_argument("pads is out of range");
    }
    w.out[d] = full - w.begin[d] - end;
    if (w.out[d] < 0) return invalid_argument("a transposed convolution's result has no size");
  }
  return ok();
}

// The convolution that this one is the transpose of: its image is our result.
Expected<Convolution> transposed_of(const Call& call) {
  const Dims &x = call.inputs[0]->dims, &weight = call.inputs[1]->dims;
  Convolution c;
  if (weight.size() < 3) return invalid_argument("a convolution's weight has the wrong shape");
  THIMBLE_ASSIGN(c.windows, steps_of(call, x, std::span(weight).subspan(2)));
  THIMBLE_TRY(size_transposed(call, c.windows));
  std::swap(c.windows.in, c.windows.out);
  c.batch = x[0];
  c.group = call.instruction.integer("group", 1);
  c.outputs = x[1];
  if (c.group < 1 || weight[0] != c.outputs || c.outputs % c.group != 0 || weight[1] < 1)
    return invalid_argument("a convolution's channels don't fit its weight");
  const auto channels = checked_mul(weight[1], c.group);
  if (!channels) return invalid_argument("a convolution has too many channels");
  c.channels = *channels;
  return c;
}

Status shape_transposed(const Call& call, std::vector<Dims>& results) {
  const Value &x = *call.inputs[0], &weight = *call.inputs[1];
  if (!is_real(x.type) || weight.type != x.type || call.outputs[0]->type != x.type)
    return unsupported("a convolution takes f32 or f64 values and weights");
  THIMBLE_ASSIGN(Convolution c, transposed_of(call));
  THIMBLE_TRY(check_bias(input_at(call, 2), x, c.channels));
  std::swap(c.windows.in, c.windows.out);
  results[0] = c.windows.result(c.batch, c.channels);
  return ok();
}

template <class T>
void spread_plane(const Convolution& c, const T* x, const T* weight, T bias, T* y) {
  const Windows& w = c.windows;
  std::fill_n(y, volume(w.in), bias);
  for (std::int64_t o = 0; o < c.group_outputs(); ++o) {
    const T* plane = x + o * volume(w.out);
    const T* taps = weight + o * c.group_channels() * volume(w.kernel);
    each_row(w, [&](std::int64_t tap, std::int64_t to, std::int64_t from, std::int64_t columns) {
      for (std::int64_t k = 0; k < columns; ++k)
        y[to + k * w.stride[2]] += taps[tap] * plane[from + k];
    });
  }
}

template <class T>
Status spread(Call& call, const Convolution& c) {
  const Windows& w = c.windows;
  const T* x = data_of<T>(*call.inputs[0]);
  const T* weight = data_of<T>(*call.inputs[1]);
  const Value* bias = input_at(call, 2);
  T* y = data_of<T>(*call.outputs[0]);
  const std::int64_t taps = volume(w.kernel);
  const std::int64_t own = c.group_channels();
  over_rows(call.machine, c.batch * c.channels, c.group_outputs() * taps * volume(w.out),
            [&](std::size_t begin, std::size_t end) {
              for (auto p = static_cast<std::int64_t>(begin); p < static_cast<std::int64_t>(end);
                   ++p) {
                const std::int64_t n = p / c.channels, i = p % c.channels;
                const std::int64_t first = i / own * c.group_outputs();
                spread_plane(c, x + (n * c.outputs + first) * volume(w.out),
                             weight + (first * own + i % own) * taps,
                             bias == nullptr ? T{} : data_of<T>(*bias)[i], y + p * volume(w.in));
              }
            });
  return ok();
}

Status run_transposed(Call& call) {
  THIMBLE_ASSIGN(const Convolution c, transposed_of(call));
  return with_real(call.inputs[0]->type,
                   [&](auto zero) { return spread<decltype(zero)>(call, c); });
}

}  // namespace

Expected<Convolution> convolution_of(const Call& call, const Dims& x, const Dims& weight) {
  Convolution c;
  if (weight.size() < 3) return invalid_argument("a convolution's weight has the wrong shape");
  THIMBLE_ASSIGN(c.windows, windows_of(call, x, std::span(weight).subspan(2)));
  c.batch = x[0];
  c.channels = x[1];
  c.outputs = weight[0];
  c.group = call.instruction.integer("group", 1);
  if (c.group < 1 || c.channels % c.group != 0 || c.outputs % c.group != 0 ||
      weight[1] != c.channels / c.group) {
    return invalid_argument("a convolution's channels don't fit its weight");
  }
  return c;
}

std::span<const Operator> convolution_operators() {
  static constexpr Operator kOperators[] = {
      {program::Op::kConv, run_conv, nullptr, shape_conv},
      {program::Op::kConvTranspose, run_transposed, nullptr, shape_transposed},
  };
  return kOperators;
}

}  // namespace thimble::runtime

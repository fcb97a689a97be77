// Convolutions of real numbers, forwards and transposed.

#include <optional>

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
  over_each(call.machine, c.batch * c.outputs, taps * volume(w.out), [&](std::int64_t p) {
    const std::int64_t n = p / c.outputs, o = p % c.outputs;
    const std::int64_t first = o / c.group_outputs() * c.group_channels();
    convolve_plane(c, x + (n * c.channels + first) * volume(w.in), weight + o * taps,
                   bias == nullptr ? T{} : data_of<T>(*bias)[o], y + p * volume(w.out));
  });
  return ok();
}

// Convolutions as products: what the windows at a run of places see, a row for each tap of each
// channel, is multiplied by the weight as it lies. A result's taps are added in order whatever the
// run, so cutting the places up changes no bit.
struct Product {
  std::int64_t taps = 0;    // of a group
  std::int64_t places = 0;  // of a run
  std::int64_t runs = 0;    // of an image
  bool in_place = false;    // the image is what the windows see
};

// The product that a convolution is, where that pays.
std::optional<Product> product_for(const Convolution& c, program::Type type) {
  constexpr std::int64_t kFloats = 1 << 16;  // of a run: what stays in a core's cache
  const Windows& w = c.windows;
  Product p;
  p.taps = c.group_channels() * volume(w.kernel);
  if (type != program::Type::kF32 || c.group_outputs() < 4 || p.taps == 0 || volume(w.out) == 0)
    return std::nullopt;
  p.places = std::min(std::clamp<std::int64_t>(kFloats / p.taps / 32 * 32, 32, 512), volume(w.out));
  p.runs = (volume(w.out) + p.places - 1) / p.places;
  p.in_place = volume(w.kernel) == 1 && volume(w.stride) == 1 && w.in == w.out;
  return p;
}

// One tap at places [begin, begin + count).
void see_tap(const Windows& w, const float* plane, const Space& tap, std::int64_t begin,
             std::int64_t count, float* to) {
  const std::int64_t offset = tap[2] * w.dilation[2] - w.begin[2];
  const Positions inside = positions_of(offset, w.stride[2], w.out[2], w.in[2]);
  for (std::int64_t at = begin; at < begin + count;) {
    const std::int64_t column = at % w.out[2], row = at / w.out[2];
    const std::int64_t end = column + std::min(w.out[2] - column, begin + count - at);
    const std::int64_t d = row / w.out[1] * w.stride[0] + tap[0] * w.dilation[0] - w.begin[0];
    const std::int64_t r = row % w.out[1] * w.stride[1] + tap[1] * w.dilation[1] - w.begin[1];
    const bool there = d >= 0 && d < w.in[0] && r >= 0 && r < w.in[1];
    const std::int64_t first = there ? std::clamp(inside.first, column, end) : end;
    const std::int64_t last = there ? std::clamp(inside.last, first, end) : end;
    const std::int64_t from = (d * w.in[1] + r) * w.in[2] + offset;
    std::int64_t k = column;
    for (; k < first; ++k) *to++ = 0;
    if (w.stride[2] == 1) {
      to = std::copy_n(plane + (k < last ? from + k : 0), last - k, to);
    } else {
      for (; k < last; ++k) *to++ = plane[from + k * w.stride[2]];
    }
    for (k = last; k < end; ++k) *to++ = 0;
    at += end - column;
  }
}

void see(const Convolution& c, const float* x, std::int64_t begin, std::int64_t count, float* to) {
  const Windows& w = c.windows;
  for (std::int64_t i = 0; i < c.group_channels(); ++i) {
    const float* plane = x + i * volume(w.in);
    for (std::int64_t d = 0; d < w.kernel[0]; ++d) {
      for (std::int64_t r = 0; r < w.kernel[1]; ++r) {
        for (std::int64_t k = 0; k < w.kernel[2]; ++k, to += count)
          see_tap(w, plane, {d, r, k}, begin, count, to);
      }
    }
  }
}

std::size_t run_bytes(const Product& p) {
  return p.in_place ? 0
                    : round_up<std::size_t>(
                          static_cast<std::size_t>(p.taps * p.places) * sizeof(float), 64);
}

std::size_t scratch_conv(const Call& call) {
  const auto c = convolution_of(call, call.inputs[0]->dims, call.inputs[1]->dims);
  const auto p = c ? product_for(*c, call.inputs[0]->type) : std::nullopt;
  return p ? static_cast<std::size_t>(call.machine.pool.threads()) * run_bytes(*p) : 0;
}

Status convolve_by_product(Call& call, const Convolution& c, const Product& p) {
  const Windows& w = c.windows;
  const std::int64_t rows = c.group_outputs(), places = volume(w.out);
  const float *x = call.inputs[0]->floats(), *weight = call.inputs[1]->floats();
  const Value* bias = input_at(call, 2);
  float* y = call.outputs[0]->floats();
  const std::int64_t threads = call.machine.pool.threads();
  // Few runs are shared out by results instead.
  const std::int64_t runs = c.batch * c.group * p.runs;
  const std::int64_t parts = runs < 2 * threads ? std::min(threads, rows) : 1;
  ScratchParts scratch(call.scratch, static_cast<int>(threads), run_bytes(p));
  const auto one = [&](std::int64_t unit, std::byte* memory) {
    const std::int64_t part = unit % parts, run = unit / parts % p.runs;
    const std::int64_t group = unit / parts / p.runs % c.group, n = unit / parts / p.runs / c.group;
    const std::int64_t begin = run * p.places, count = std::min(p.places, places - begin);
    const float* image = x + (n * c.channels + group * c.group_channels()) * volume(w.in);
    auto* seen = reinterpret_cast<float*>(memory);
    if (!p.in_place) see(c, image, begin, count, seen);
    const std::int64_t first = rows * part / parts, last = rows * (part + 1) / parts;
    float* to = y + (n * c.outputs + group * rows) * places + begin;
    call.machine.linear.matmul(weight + group * rows * p.taps, p.taps,
                               p.in_place ? image + begin : seen, p.in_place ? places : count, to,
                               places, first, last, count, p.taps);
    for (std::int64_t o = first; bias != nullptr && o < last; ++o) {
      const float add = bias->floats()[group * rows + o];
      for (std::int64_t k = 0; k < count; ++k) to[o * places + k] += add;
    }
  };
  over_each(call.machine, scratch, runs * parts, p.taps * p.places * rows / parts, one);
  return ok();
}

Status run_conv(Call& call) {
  THIMBLE_ASSIGN(const Convolution c,
                 convolution_of(call, call.inputs[0]->dims, call.inputs[1]->dims));
  if (const auto product = product_for(c, call.inputs[0]->type))
    return convolve_by_product(call, c, *product);
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
  over_each(call.machine, c.batch * c.channels, c.group_outputs() * taps * volume(w.out),
            [&](std::int64_t p) {
              const std::int64_t n = p / c.channels, i = p % c.channels;
              const std::int64_t first = i / own * c.group_outputs();
              spread_plane(c, x + (n * c.outputs + first) * volume(w.out),
                           weight + (first * own + i % own) * taps,
                           bias == nullptr ? T{} : data_of<T>(*bias)[i], y + p * volume(w.in));
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
      {program::Op::kConv, run_conv, scratch_conv, shape_conv},
      {program::Op::kConvTranspose, run_transposed, nullptr, shape_transposed},
  };
  return kOperators;
}

}  // namespace thimble::runtime

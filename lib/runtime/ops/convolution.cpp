// Convolutions of real numbers.

#include <optional>

#include "runtime/ops/convolve.h"
#include "support/checked.h"

namespace thimble::runtime {
namespace {

Status shape_conv(const Call& call, std::vector<Dims>& results) {
  const Value &x = *call.inputs[0], &weight = *call.inputs[1];
  THIMBLE_TRY(check_types(call));
  THIMBLE_ASSIGN(const Convolution c, convolution_of(call, x.dims, weight.dims));
  THIMBLE_TRY(check_bias(call, c.outputs));
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
  each_piece(w, tap, begin, count, [&](const RowPiece& piece) {
    to = std::fill_n(to, piece.before, 0.0f);
    if (w.stride[2] == 1) {
      to = std::copy_n(plane + piece.at, piece.inside, to);
    } else {
      for (std::int64_t k = 0; k < piece.inside; ++k) *to++ = plane[piece.at + k * w.stride[2]];
    }
    to = std::fill_n(to, piece.after, 0.0f);
  });
}

void see(const Convolution& c, const float* x, std::int64_t begin, std::int64_t count, float* to) {
  const Windows& w = c.windows;
  for (std::int64_t i = 0; i < c.group_channels(); ++i) {
    const float* plane = x + i * volume(w.in);
    each_tap(w.kernel, [&](const Space& tap) {
      see_tap(w, plane, tap, begin, count, to);
      to += count;
    });
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

}  // namespace

Status check_types(const Call& call) {
  const Value &x = *call.inputs[0], &weight = *call.inputs[1];
  if (!is_real(x.type) || weight.type != x.type || call.outputs[0]->type != x.type)
    return unsupported("a convolution takes f32 or f64 values and weights");
  return ok();
}

Status check_bias(const Call& call, std::int64_t outputs) {
  const Value *bias = input_at(call, 2), &x = *call.inputs[0];
  return demand(bias == nullptr || (bias->type == x.type && bias->count() == outputs),
                "a convolution's bias has the wrong type or shape");
}

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
  };
  return kOperators;
}

}  // namespace thimble::runtime

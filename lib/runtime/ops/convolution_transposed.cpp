// Transposed convolutions of real numbers. Those of f32 are products: what an element of the image
// gives to every tap of some channels, which is then added where the taps lie. A sum runs over the
// image's channels first, and then over its taps, strip by strip of the image.

#include "runtime/ops/convolve.h"
#include "support/checked.h"

namespace thimble::runtime {
namespace {

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
  THIMBLE_TRY(check_types(call));
  THIMBLE_ASSIGN(Convolution c, transposed_of(call));
  THIMBLE_TRY(check_bias(call, c.channels));
  std::swap(c.windows.in, c.windows.out);
  results[0] = c.windows.result(c.batch, c.channels);
  return ok();
}

// The plain loops: one plane of the result.
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

// How the work is cut: `own` channels of a group's at once, for strips of so many places.
struct Cut {
  std::int64_t own, units;  // units: of a group
  std::int64_t strip;

  explicit Cut(const Convolution& c) {
    constexpr std::int64_t kRows = 64, kFloats = 1 << 16;  // of a product; of a core's cache
    const std::int64_t taps = volume(c.windows.kernel), inputs = c.group_outputs();
    own = std::clamp<std::int64_t>(kRows / taps, 1, c.group_channels());
    units = ceil_div(c.group_channels(), own);
    strip = std::clamp<std::int64_t>(kFloats / (own * taps + inputs) / 16 * 16, 32, 512);
  }
  std::size_t weight_bytes(const Convolution& c) const {
    return Memory::aligned(sizeof(float) * rows(c) * static_cast<std::size_t>(c.group_outputs()));
  }
  std::size_t bytes(const Convolution& c) const {
    return weight_bytes(c) +
           Memory::aligned(sizeof(float) * rows(c) * static_cast<std::size_t>(strip));
  }

 private:
  std::size_t rows(const Convolution& c) const {
    return static_cast<std::size_t>(own * volume(c.windows.kernel));
  }
};

// Adds what places [begin, begin + count) give to one tap to a plane of the result.
void add_tap(const Windows& w, const float* given, const Space& tap, std::int64_t begin,
             std::int64_t count, float* plane) {
  each_piece(w, tap, begin, count, [&](const RowPiece& piece) {
    given += piece.before;
    float* to = plane + piece.at;
    if (w.stride[2] == 1) {
      for (std::int64_t k = 0; k < piece.inside; ++k) to[k] += given[k];
    } else {
      for (std::int64_t k = 0; k < piece.inside; ++k) to[k * w.stride[2]] += given[k];
    }
    given += piece.inside + piece.after;
  });
}

class SpreadByProducts {
 public:
  SpreadByProducts(Call& call, const Convolution& c)
      : call_(call), c_(c), cut_(c), taps_(volume(c.windows.kernel)) {}

  void run() {
    const std::int64_t cost = c_.group_outputs() * cut_.own * taps_ * volume(c_.windows.out);
    ScratchParts scratch(call_.scratch, call_.machine.pool.threads(), cut_.bytes(c_));
    over_each(call_.machine, scratch, c_.batch * c_.group * cut_.units, cost,
              [&](std::int64_t unit, std::byte* memory) {
                const std::int64_t group = unit / cut_.units % c_.group;
                one(unit / cut_.units / c_.group, group, unit % cut_.units * cut_.own, memory);
              });
  }

 private:
  // Channels [first, first + cut_.own) of a group, in image `n`.
  void one(std::int64_t n, std::int64_t group, std::int64_t first, std::byte* memory) const {
    const Windows& w = c_.windows;
    const std::int64_t inputs = c_.group_outputs(), places = volume(w.out);
    const std::int64_t own = std::min(cut_.own, c_.group_channels() - first);
    auto* weight = reinterpret_cast<float*>(memory);
    auto* given = reinterpret_cast<float*>(memory + cut_.weight_bytes(c_));
    turn(group, first, own, weight);
    const float* x = call_.inputs[0]->floats() + (n * c_.outputs + group * inputs) * places;
    const std::int64_t channel = group * c_.group_channels() + first;
    float* y = call_.outputs[0]->floats() + (n * c_.channels + channel) * volume(w.in);
    const Value* bias = input_at(call_, 2);
    for (std::int64_t o = 0; o < own; ++o) {
      std::fill_n(y + o * volume(w.in), volume(w.in),
                  bias == nullptr ? 0.0f : bias->floats()[channel + o]);
    }
    for (std::int64_t begin = 0; begin < places; begin += cut_.strip) {
      const std::int64_t count = std::min(cut_.strip, places - begin);
      call_.machine.linear.matmul(weight, inputs, x + begin, places, given, count, 0, own * taps_,
                                  count, inputs);
      const float* from = given;
      for (std::int64_t o = 0; o < own; ++o) {
        each_tap(w.kernel, [&](const Space& tap) {
          add_tap(w, from, tap, begin, count, y + o * volume(w.in));
          from += count;
        });
      }
    }
  }

  // The weight [inputs, channels, taps] of such channels as [channels * taps, inputs].
  void turn(std::int64_t group, std::int64_t first, std::int64_t own, float* to) const {
    const std::int64_t inputs = c_.group_outputs(), row = c_.group_channels() * taps_;
    const float* from = call_.inputs[1]->floats() + group * inputs * row + first * taps_;
    for (std::int64_t k = 0; k < inputs; ++k) {
      for (std::int64_t r = 0; r < own * taps_; ++r) to[r * inputs + k] = from[k * row + r];
    }
  }

  Call& call_;
  const Convolution& c_;
  Cut cut_;
  std::int64_t taps_;
};

// With few channels to sum over, products would only be copied.
bool by_products(const Call& call, const Convolution& c) {
  constexpr std::int64_t kFew = 4;
  return call.inputs[0]->type == program::Type::kF32 && c.group_outputs() >= kFew &&
         volume(c.windows.out) > 0;
}

std::size_t scratch_transposed(const Call& call) {
  const auto c = transposed_of(call);
  if (!c || !by_products(call, *c)) return 0;
  return Cut(*c).bytes(*c) * static_cast<std::size_t>(call.machine.pool.threads());
}

Status run_transposed(Call& call) {
  THIMBLE_ASSIGN(const Convolution c, transposed_of(call));
  if (by_products(call, c)) {
    SpreadByProducts(call, c).run();
    return ok();
  }
  return with_real(call.inputs[0]->type,
                   [&](auto zero) { return spread<decltype(zero)>(call, c); });
}

}  // namespace

std::span<const Operator> transposed_convolutions() {
  static constexpr Operator kOperators[] = {
      {program::Op::kConvTranspose, run_transposed, scratch_transposed, shape_transposed},
  };
  return kOperators;
}

}  // namespace thimble::runtime

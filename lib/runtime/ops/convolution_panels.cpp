// Convolutions of f32 whose weight lies in panels (lib/kernels/convolve.h), or row-major where each
// group has one channel. What the windows see is copied a piece at a time, small enough to stay in
// the first-level cache, and multiplied there; an output adds its taps in order, however places and
// outputs are cut up.

#include <algorithm>

#include "runtime/ops/epilogue.h"
#include "runtime/ops/phases.h"
#include "runtime/ops/window_copies.h"
#include "support/checked.h"

namespace thimble::runtime {
namespace {

using kernels::Ahead;
using kernels::Epilogue;
using kernels::kPanelRows;
using kernels::kPiecePlaces;
using kernels::Piece;

constexpr std::int64_t kPieceTaps = 192;  // of a piece, unless a channel has more
constexpr std::int64_t kRunPieces = 8;    // that pass a panel while it is in the cache
constexpr std::int64_t kFewPanels = 8;    // too few to make copies pay that only move elements
constexpr std::int64_t kMostTaps = 1 << 20;

Status shape_panels(const Call& call, std::vector<Dims>& results) {
  const Value &x = *call.inputs[0], &weight = *call.inputs[1];
  THIMBLE_TRY(demand(x.type == program::Type::kF32 && weight.type == program::Type::kF32 &&
                         call.outputs[0]->type == program::Type::kF32,
                     "ConvPanels takes f32"));
  THIMBLE_ASSIGN(const Convolution c, convolution_of(call, x.dims, weight.dims));
  const std::int64_t taps = c.group_channels() * volume(c.windows.kernel);
  if (weight.tensor != nullptr) {
    THIMBLE_TRY(demand(weight.tensor->rows == c.outputs && weight.tensor->inputs == taps &&
                           weight.tensor->group_size == c.group_outputs(),
                       "a convolution's groups don't fit its panels"));
    THIMBLE_TRY(demand(volume(c.windows.kernel) <= kMostTaps, "a kernel is too large"));
  } else if (c.group_channels() != 1 || !Phases::fits(c.windows)) {
    return unsupported("a convolution of many channels needs a weight in panels");
  }
  results[0] = c.windows.result(c.batch, c.outputs);
  return check_epilogue(call, c.outputs, results[0]);
}

// The pieces of a run of places, and where in each channel's plane their elements come from.
class Pieces {
 public:
  static std::int64_t channels_at_once(const Windows& w, std::int64_t channels) {
    return std::clamp<std::int64_t>(kPieceTaps / volume(w.kernel), 1, channels);
  }
  static std::int64_t piece_floats(const Windows& w, std::int64_t channels) {
    return channels_at_once(w, channels) * volume(w.kernel) * kPiecePlaces + kernels::kCopySlack;
  }
  static std::size_t bytes(const Windows& w, std::int64_t channels) {
    const auto one = static_cast<std::size_t>(piece_floats(w, channels)) * sizeof(float) +
                     static_cast<std::size_t>(most_copies(w, kPiecePlaces)) * sizeof(Copy);
    return round_up<std::size_t>(kRunPieces * one, 64);
  }

  Pieces(const kernels::ConvolveKernels& kernels, const Windows& w, std::int64_t channels,
         std::byte* memory)
      : kernels_(kernels),
        w_(w),
        floats_(piece_floats(w, channels)),
        most_(most_copies(w, kPiecePlaces)),
        data_(reinterpret_cast<float*>(memory)),
        copies_(reinterpret_cast<Copy*>(data_ + kRunPieces * floats_)) {}

  // Places [begin, begin + count) of the result, at most kRunPieces * 32.
  void set_places(std::int64_t begin, std::int64_t count) {
    begin_ = begin;
    count_ = ceil_div<std::int64_t>(count, kPiecePlaces);
    for (std::int64_t q = 0; q < count_; ++q) {
      places_[q] = std::min<std::int64_t>(kPiecePlaces, count - q * kPiecePlaces);
      used_[q] =
          list_copies(w_, begin + q * kPiecePlaces, places_[q], kPiecePlaces, copies_ + q * most_);
    }
  }

  std::int64_t count() const { return count_; }
  std::int64_t places(std::int64_t q) const { return places_[q]; }
  Piece piece(std::int64_t q) const { return pieces_[q]; }

  // What `channels` planes from `planes` on show to so many panels. Where windows see one element
  // each and panels are few, pieces of all their places are used as they lie.
  void fill(const float* planes, std::int64_t channels, std::int64_t panels) {
    const bool flat = panels <= kFewPanels && w_.in == w_.out && volume(w_.kernel) == 1 &&
                      volume(w_.stride) == 1 && w_.begin == Space{};
    for (std::int64_t q = 0; q < count_; ++q) {
      in_place_[q] = flat && places_[q] == kPiecePlaces;
      pieces_[q] = in_place_[q] ? Piece{planes + begin_ + q * kPiecePlaces, volume(w_.in)}
                                : Piece{data_ + q * floats_, kPiecePlaces};
    }
    const std::int64_t step = volume(w_.kernel) * kPiecePlaces;
    for (std::int64_t i = 0; i < channels; ++i, planes += volume(w_.in)) {
      for (std::int64_t q = 0; q < count_; ++q) {
        if (in_place_[q]) continue;
        kernels_.copy(copies_ + q * most_, used_[q], planes, w_.stride[2], 0.0f,
                      data_ + q * floats_ + i * step);
      }
    }
  }

 private:
  const kernels::ConvolveKernels& kernels_;
  const Windows& w_;
  std::int64_t floats_, most_;
  float* data_;
  Copy* copies_;
  std::int64_t begin_ = 0, count_ = 0;
  std::int64_t places_[kRunPieces] = {};
  std::int64_t used_[kRunPieces] = {};
  bool in_place_[kRunPieces] = {};
  Piece pieces_[kRunPieces] = {};
};

class PanelConvolution {
 public:
  PanelConvolution(Call& call, const Convolution& c)
      : call_(call),
        c_(c),
        w_(flattened(c.windows)),
        taps_(volume(w_.kernel)),
        places_(volume(w_.out)),
        panels_(ceil_div<std::int64_t>(c.group_outputs(), kPanelRows)),
        finish_(epilogue_of(call)) {
    const std::int64_t threads = call.machine.pool.threads();
    run_ = kRunPieces * kPiecePlaces;
    runs_ = ceil_div(places_, run_);
    // Few runs are shared out by outputs as well.
    const std::int64_t units = std::max<std::int64_t>(c.batch * c.group * runs_, 1);
    parts_ = threads > 1 ? std::min({ceil_div(4 * threads, units), 2 * threads, panels_}) : 1;
  }

  std::size_t bytes() const { return Pieces::bytes(w_, c_.group_channels()); }

  Status run() {
    if (places_ == 0) return ok();
    ScratchParts scratch(call_.scratch, call_.machine.pool.threads(), bytes());
    over_rows(call_.machine, c_.batch * c_.group * runs_ * parts_,
              taps_ * c_.group_channels() * c_.group_outputs() * std::min(run_, places_) / parts_,
              [&](std::size_t begin, std::size_t end) {
                std::byte* memory = scratch.take();
                Pieces pieces(call_.machine.convolve, w_, c_.group_channels(), memory);
                for (std::size_t unit = begin; unit < end; ++unit)
                  one(static_cast<std::int64_t>(unit), pieces);
                scratch.give_back(memory);
              });
    return ok();
  }

 private:
  void one(std::int64_t unit, Pieces& pieces) const {
    const std::int64_t part = unit % parts_, run = unit / parts_ % runs_;
    const std::int64_t group = unit / parts_ / runs_ % c_.group,
                       n = unit / parts_ / runs_ / c_.group;
    const std::int64_t begin = run * run_, channels = c_.group_channels();
    pieces.set_places(begin, std::min(run_, places_ - begin));
    const float* planes =
        call_.inputs[0]->floats() + (n * c_.channels + group * channels) * volume(w_.in);
    const std::int64_t step = Pieces::channels_at_once(w_, channels);
    for (std::int64_t channel = 0; channel < channels; channel += step) {
      const std::int64_t count = std::min(step, channels - channel);
      const std::int64_t first = panels_ * part / parts_, last = panels_ * (part + 1) / parts_;
      pieces.fill(planes + channel * volume(w_.in), count, last - first);
      for (std::int64_t t = first; t < last; ++t) {
        const float* next = t + 1 < last                ? panel(group, t + 1, channel)
                            : channel + step < channels ? panel(group, first, channel + step)
                                                        : nullptr;
        multiply(pieces, n, group, t, channel, count, begin, next);
      }
    }
  }

  // Panel `t` of a group from `channel` on.
  const float* panel(std::int64_t group, std::int64_t t, std::int64_t channel) const {
    const std::int64_t inputs = c_.group_channels() * taps_;
    return call_.inputs[1]->floats() +
           ((group * panels_ + t) * inputs + channel * taps_) * kPanelRows;
  }

  // Panel `t` of a group with `count` channels from `channel` on. `next`: the one that follows,
  // of as many channels, which is fetched meanwhile; null: none.
  void multiply(const Pieces& pieces, std::int64_t n, std::int64_t group, std::int64_t t,
                std::int64_t channel, std::int64_t count, std::int64_t begin,
                const float* next) const {
    const float* w = panel(group, t, channel);
    const std::int64_t output = group * c_.group_outputs() + t * kPanelRows;
    const std::int64_t outputs =
        std::min<std::int64_t>(kPanelRows, c_.group_outputs() - t * kPanelRows);
    const bool last = channel + count == c_.group_channels();
    // Each piece fetches its share of the next panel.
    const std::int64_t share = ceil_div<std::int64_t>(kPanelRows, pieces.count());
    for (std::int64_t q = 0; q < pieces.count(); ++q) {
      const Ahead ahead =
          next != nullptr ? Ahead{next + q * share * count * taps_, share} : Ahead{w, 0};
      const std::int64_t at = (n * c_.outputs + output) * places_ + begin + q * kPiecePlaces;
      Epilogue finish;
      if (last) finish = moved(finish_, output, at);
      call_.machine.convolve.panel(w, pieces.piece(q), count * taps_, outputs, pieces.places(q),
                                   channel == 0, last ? &finish : nullptr,
                                   call_.outputs[0]->floats() + at, places_, ahead);
    }
  }

  Call& call_;
  Convolution c_;
  Windows w_;
  std::int64_t taps_, places_, panels_;  // of a channel, of an image, of a group
  Epilogue finish_;
  std::int64_t run_ = 0, runs_ = 0, parts_ = 1;
};

// Groups of one channel: each output is a sum of shifted rows of one plane.
class DepthwiseConvolution {
 public:
  DepthwiseConvolution(Call& call, const Convolution& c)
      : call_(call), c_(c), phases_(c.windows), finish_(epilogue_of(call)) {}

  // Of one thread: the plane, and a pointer a tap.
  std::size_t bytes() const {
    return phases_.bytes() +
           round_up<std::size_t>(static_cast<std::size_t>(taps()) * sizeof(float*), 64);
  }

  Status run() {
    ScratchParts scratch(call_.scratch, call_.machine.pool.threads(), bytes());
    over_rows(call_.machine, c_.batch * c_.channels,
              taps() * c_.group_outputs() * volume(c_.windows.out),
              [&](std::size_t begin, std::size_t end) {
                std::byte* memory = scratch.take();
                const Phases::Layout layout = phases_.layout_in(memory);
                for (std::size_t p = begin; p < end; ++p)
                  plane(static_cast<std::int64_t>(p), layout, memory);
                scratch.give_back(memory);
              });
    return ok();
  }

 private:
  std::int64_t taps() const { return volume(c_.windows.kernel); }

  void plane(std::int64_t p, const Phases::Layout& layout, std::byte* memory) const {
    const Windows& w = c_.windows;
    const float* x = phases_.lay_out(call_.machine.convolve, layout,
                                     call_.inputs[0]->floats() + p * volume(w.in), 0);
    auto** from = reinterpret_cast<const float**>(memory + phases_.bytes());
    const std::int64_t n = p / c_.channels, first = p % c_.channels * c_.group_outputs();
    // Rows that lie end to end on both sides are one.
    const bool whole = phases_.in_place() && taps() == 1 && w.in == w.out && w.stride[1] == 1;
    const std::int64_t rows = whole ? 1 : w.out[1], columns = volume(w.out) / rows;
    phases_.taps(x, from);
    for (std::int64_t row = 0; row < rows; ++row) {
      if (row > 0) phases_.next_row(from);
      for (std::int64_t o = first; o < first + c_.group_outputs(); ++o) {
        const std::int64_t at = ((n * c_.outputs + o) * rows + row) * columns;
        call_.machine.convolve.taps(from, call_.inputs[1]->floats() + o * taps(), taps(), columns,
                                    moved(finish_, o, at), call_.outputs[0]->floats() + at);
      }
    }
  }

  Call& call_;
  Convolution c_;
  Phases phases_;
  Epilogue finish_;
};

// The convolution of a call whose shapes have been checked.
template <class F>
auto with_convolution(Call& call, const Convolution& c, F f) {
  return call.inputs[1]->tensor != nullptr ? f(PanelConvolution(call, c))
                                           : f(DepthwiseConvolution(call, c));
}

std::size_t scratch_panels(const Call& call) {
  const auto c = convolution_of(call, call.inputs[0]->dims, call.inputs[1]->dims);
  if (!c || volume(c->windows.out) == 0) return 0;
  const std::size_t bytes =
      with_convolution(const_cast<Call&>(call), *c, [](const auto& one) { return one.bytes(); });
  return bytes * static_cast<std::size_t>(call.machine.pool.threads());
}

Status run_panels(Call& call) {
  THIMBLE_ASSIGN(const Convolution c,
                 convolution_of(call, call.inputs[0]->dims, call.inputs[1]->dims));
  if (volume(c.windows.out) == 0) return ok();
  return with_convolution(call, c, [](auto one) { return one.run(); });
}

}  // namespace

std::span<const Operator> panel_convolutions() {
  static constexpr Operator kOperators[] = {
      {program::Op::kConvPanels, run_panels, scratch_panels, shape_panels},
  };
  return kOperators;
}

}  // namespace thimble::runtime

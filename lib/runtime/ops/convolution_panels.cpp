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
using kernels::kFewPlaces;
using kernels::kPanelRows;
using kernels::kPiecePlaces;
using kernels::Piece;

constexpr std::int64_t kPieceTaps = 1152;  // of a piece, unless a channel has more
// Pieces that pass a panel while it is in the cache: at most so many, and of so many taps together.
constexpr std::int64_t kRunPieces = 8, kRunTaps = 2304;
constexpr std::int64_t kFewPanels = 8;       // too few to make copies pay that only move elements
constexpr std::int64_t kPanelsTogether = 4;  // that take the last few places together
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
  static std::int64_t pieces_of_run(const Windows& w, std::int64_t channels) {
    return std::clamp<std::int64_t>(kRunTaps / (channels_at_once(w, channels) * volume(w.kernel)),
                                    1, kRunPieces);
  }
  static std::size_t bytes(const Windows& w, std::int64_t channels) {
    const auto one = static_cast<std::size_t>(piece_floats(w, channels)) * sizeof(float) +
                     static_cast<std::size_t>(most_slices(w)) * sizeof(Slice);
    return round_up<std::size_t>(static_cast<std::size_t>(pieces_of_run(w, channels)) * one, 64);
  }

  Pieces(const kernels::ConvolveKernels& kernels, const Windows& w, std::int64_t channels,
         std::byte* memory)
      : kernels_(kernels),
        w_(w),
        floats_(piece_floats(w, channels)),
        data_(reinterpret_cast<float*>(memory)),
        slices_(reinterpret_cast<Slice*>(data_ + pieces_of_run(w, channels) * floats_)) {}

  // Places [begin, begin + count) of the result, at most pieces_of_run() * 32.
  void set_places(std::int64_t begin, std::int64_t count) {
    begin_ = begin;
    places_ = count;
    used_ = 0;
    for (std::int64_t q = 0; q < this->count(); ++q)
      used_ += list_slices(w_, begin + q * kPiecePlaces, places(q), q * floats_, slices_ + used_);
  }

  std::int64_t count() const { return ceil_div<std::int64_t>(places_, kPiecePlaces); }
  std::int64_t places(std::int64_t q) const {
    return std::min<std::int64_t>(kPiecePlaces, places_ - q * kPiecePlaces);
  }
  // Of them: those at the end that are too few for a vector.
  std::int64_t few(std::int64_t q) const {
    const std::int64_t rest = places(q) % 16;
    return rest <= kFewPlaces ? rest : 0;
  }
  Piece piece(std::int64_t q) const {
    if (in_place_) return {planes_ + begin_ + q * kPiecePlaces, volume(w_.in)};
    return {data_ + q * floats_, kPiecePlaces};
  }

  // What `channels` planes from `planes` on show to so many panels. Where windows see one element
  // each and panels are few, pieces are used as they lie.
  void fill(const float* planes, std::int64_t channels, std::int64_t panels) {
    const bool flat = w_.in == w_.out && volume(w_.kernel) == 1 && volume(w_.stride) == 1;
    in_place_ = flat && panels <= kFewPanels && places_ % 16 == 0;
    planes_ = planes;
    if (in_place_) return;
    kernels_.im2col(slices_, used_, planes, volume(w_.in), channels, w_.stride[2], 0.0f, data_,
                    volume(w_.kernel) * kPiecePlaces);
  }

 private:
  // A vector more than the taps take, or the same tap of all pieces would fall into one set of the
  // first-level cache.
  static std::int64_t piece_floats(const Windows& w, std::int64_t channels) {
    return channels_at_once(w, channels) * volume(w.kernel) * kPiecePlaces + 16;
  }

  const kernels::ConvolveKernels& kernels_;
  const Windows& w_;
  std::int64_t floats_;
  float* data_;
  Slice* slices_;
  const float* planes_ = nullptr;
  std::int64_t begin_ = 0, places_ = 0, used_ = 0;
  bool in_place_ = false;
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
    const std::int64_t most = Pieces::pieces_of_run(w_, c.group_channels()) * kPiecePlaces;
    runs_ = std::max<std::int64_t>(ceil_div(places_, most), 1);
    run_ = round_up(ceil_div(places_, runs_), std::int64_t{kPiecePlaces});
    // Few runs are shared out by outputs as well: into small parts where the last run is much
    // shorter than others, else into few, as each part copies what the windows see anew.
    const std::int64_t units = std::max<std::int64_t>(c.batch * c.group * runs_, 1);
    const std::int64_t last = places_ - (runs_ - 1) * run_;
    const std::int64_t share = runs_ == 1 || 4 * last >= 3 * run_ ? 1 : 2;
    parts_ = threads > 1
                 ? std::min({ceil_div(2 * share * threads, units), share * threads, panels_})
                 : 1;
  }

  std::size_t bytes() const { return Pieces::bytes(w_, c_.group_channels()); }

  Status run() {
    if (places_ == 0) return ok();
    ScratchParts scratch(call_.scratch, call_.machine.pool.threads(), bytes());
    over_rows(call_.machine, scratch, c_.batch * c_.group * runs_ * parts_,
              taps_ * c_.group_channels() * c_.group_outputs() * std::min(run_, places_) / parts_,
              [&](std::int64_t begin, std::int64_t end, std::byte* memory) {
                Pieces pieces(call_.machine.convolve, w_, c_.group_channels(), memory);
                for (std::int64_t unit = begin; unit < end; ++unit) one(unit, pieces);
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
        const Job job{n, group, t, channel, count, begin};
        multiply(pieces, job, next);
        const std::int64_t together = (t - first) % kPanelsTogether + 1;
        if (together == kPanelsTogether || t + 1 == last) multiply_few(pieces, job, together);
      }
    }
  }

  // Panel `t` of a group from `channel` on.
  const float* panel(std::int64_t group, std::int64_t t, std::int64_t channel) const {
    const std::int64_t inputs = c_.group_channels() * taps_;
    return call_.inputs[1]->floats() +
           ((group * panels_ + t) * inputs + channel * taps_) * kPanelRows;
  }

  // Panel `t` of a group with `count` channels from `channel` on, at places from `begin` on.
  struct Job {
    std::int64_t n, group, t, channel, count, begin;
  };
  bool starts(const Job& job) const { return job.channel == 0; }
  bool ends(const Job& job) const { return job.channel + job.count == c_.group_channels(); }

  // `next`: the panel that follows, of as many channels, which is fetched meanwhile; null: none.
  void multiply(const Pieces& pieces, const Job& job, const float* next) const {
    const float* w = panel(job.group, job.t, job.channel);
    const std::int64_t output = job.t * kPanelRows, taps = job.count * taps_;
    const std::int64_t outputs = std::min<std::int64_t>(kPanelRows, c_.group_outputs() - output);
    // Each piece fetches its share of the next panel.
    const std::int64_t share = ceil_div<std::int64_t>(kPanelRows, pieces.count());
    for (std::int64_t q = 0; q < pieces.count(); ++q) {
      const std::int64_t places = pieces.places(q) - pieces.few(q);
      if (places == 0) continue;
      const Ahead ahead = next != nullptr ? Ahead{next + q * share * taps, share} : Ahead{w, 0};
      const std::int64_t at = result_at(job, output) + q * kPiecePlaces;
      const Epilogue finish = moved(finish_, job.group * c_.group_outputs() + output, at);
      call_.machine.convolve.panel(w, pieces.piece(q), taps, outputs, places, starts(job),
                                   ends(job) ? &finish : nullptr, call_.outputs[0]->floats() + at,
                                   places_, ahead);
    }
  }

  // The last few places of the pieces with so many panels, of which the job's is the last one.
  void multiply_few(const Pieces& pieces, const Job& job, std::int64_t together) const {
    const std::int64_t q = pieces.count() - 1, few = pieces.few(q);
    if (few == 0) return;
    const std::int64_t t = job.t + 1 - together, output = t * kPanelRows;
    const std::int64_t outputs =
        std::min<std::int64_t>(together * kPanelRows, c_.group_outputs() - output);
    const std::int64_t place = pieces.places(q) - few;
    const std::int64_t at = result_at(job, output) + q * kPiecePlaces + place;
    const Epilogue finish = moved(finish_, job.group * c_.group_outputs() + output, at);
    Piece piece = pieces.piece(q);
    piece.data += place;
    call_.machine.convolve.few(panel(job.group, t, job.channel),
                               c_.group_channels() * taps_ * kPanelRows, piece, job.count * taps_,
                               outputs, few, starts(job), ends(job) ? &finish : nullptr,
                               call_.outputs[0]->floats() + at, places_);
  }

  // The job's first place of output `output` of its group.
  std::int64_t result_at(const Job& job, std::int64_t output) const {
    return (job.n * c_.outputs + job.group * c_.group_outputs() + output) * places_ + job.begin;
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

  std::size_t bytes() const { return phases_.bytes(); }

  Status run() {
    ScratchParts scratch(call_.scratch, call_.machine.pool.threads(), bytes());
    over_rows(call_.machine, scratch, c_.batch * c_.channels,
              taps() * c_.group_outputs() * volume(c_.windows.out),
              [&](std::int64_t begin, std::int64_t end, std::byte* memory) {
                const Phases::Layout layout = phases_.layout_in(memory);
                for (std::int64_t p = begin; p < end; p += phases_.together())
                  planes(p, std::min(phases_.together(), end - p), layout);
              });
    return ok();
  }

 private:
  std::int64_t taps() const { return volume(c_.windows.kernel); }

  // Planes [first, first + count).
  void planes(std::int64_t first, std::int64_t count, const Phases::Layout& layout) const {
    const float* x =
        phases_.lay_out(call_.machine.convolve, layout,
                        call_.inputs[0]->floats() + first * volume(c_.windows.in), count, 0);
    for (std::int64_t p = first; p < first + count; ++p, x += phases_.plane_step())
      plane(p, x, layout);
  }

  void plane(std::int64_t p, const float* x, const Phases::Layout& layout) const {
    kernels::WindowRows rows = phases_.rows_of(layout);
    // Rows that lie end to end on both sides are one.
    if (phases_.in_place() && taps() == 1 && rows.step == rows.columns)
      rows = {rows.offsets, 1, 1, rows.rows * rows.columns, 0};
    const std::int64_t n = p / c_.channels, output = p % c_.channels * c_.group_outputs();
    for (std::int64_t o = output; o < output + c_.group_outputs(); ++o) {
      const std::int64_t at = (n * c_.outputs + o) * rows.rows * rows.columns;
      call_.machine.convolve.taps(x, rows, call_.inputs[1]->floats() + o * taps(),
                                  moved(finish_, o, at), call_.outputs[0]->floats() + at);
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

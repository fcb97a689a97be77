// Pools of f32 planes, a row of the result at a time: each tap is a run of elements (phases.h), or
// every other element of one. Maxima over volumes are maxima over planes of maxima over each plane.

#include "runtime/ops/pool_rows.h"

#include <algorithm>
#include <limits>

#include "runtime/memory.h"
#include "runtime/ops/phases.h"

namespace thimble::runtime {
namespace {

// The windows on one of the planes that a volume is made of; on an image they are the same.
Windows plane_windows(const Windows& w) {
  Windows plane = w;
  plane.in[0] = plane.out[0] = plane.kernel[0] = plane.stride[0] = plane.dilation[0] = 1;
  plane.begin[0] = plane.end[0] = 0;
  return plane;
}
// Does each window lie in one plane?
bool is_flat(const Windows& w) {
  return w.kernel[0] == 1 && w.stride[0] == 1 && w.in[0] == w.out[0] && w.begin[0] == 0;
}
std::int64_t plane_size(const Windows& w) { return w.out[1] * w.out[2]; }

// What one thread works in: the planes, the taps of each row and column.
struct Workspace {
  std::size_t planes, rows, columns;

  Workspace(const Windows& w, const Phases& phases)
      : planes(phases.bytes()),
        rows(Memory::aligned(static_cast<std::size_t>(w.out[1]) * sizeof(float))),
        columns(Memory::aligned(static_cast<std::size_t>(w.out[2]) * sizeof(float))) {}
  std::size_t total() const { return planes + rows + columns; }
};

// Taps of the windows at `position` on axis `d`: those in the image, or with its padding.
std::int64_t taps_at(const Windows& w, std::size_t d, std::int64_t position, bool padding) {
  const std::int64_t start = position * w.stride[d] - w.begin[d];
  const std::int64_t size = w.in[d] + (padding ? w.end[d] : 0);
  const Taps taps = taps_inside(start, w.kernel[d], w.dilation[d], size);
  return padding ? taps.last : taps.last - taps.first;
}

// Maxima that need no phases: planes are used as they lie. squeezenet's take two thirds of the time
// so.
bool moves_by_pairs(const Call& call, const Windows& w) {
  return call.instruction.op == program::Op::kMaxPool && w.stride[2] == 2 && w.dilation[2] == 1 &&
         (w.kernel[2] == 2 || w.kernel[2] == 3);
}

kernels::PairWindows pair_windows(const Windows& w) {
  return {.high = w.in[1],
          .wide = w.in[2],
          .rows = w.out[1],
          .columns = w.out[2],
          .taps_high = w.kernel[1],
          .taps_wide = w.kernel[2],
          .step = w.stride[1],
          .apart = w.dilation[1],
          .above = w.begin[1],
          .before = w.begin[2]};
}

// Pools planes, in what one thread works in.
class PlanePool {
 public:
  PlanePool(const Call& call, const Windows& w, Pooled pooled)
      : call_(call), w_(plane_windows(w)), phases_(w_), space_(w_, phases_) {
    means_ = pooled == Pooled::kMean;
    padding_ = call.instruction.integer("count_include_pad", 0) != 0;
    pairs_ = moves_by_pairs(call, w_);
  }

  std::size_t bytes() const { return pairs_ ? 0 : space_.total(); }

  // What stays the same from plane to plane.
  Phases::Layout prepare(std::byte* memory) const {
    if (pairs_) return {};
    for (std::int64_t r = 0; means_ && r < w_.out[1]; ++r)
      rows(memory)[r] = static_cast<float>(taps_at(w_, 1, r, padding_));
    for (std::int64_t c = 0; means_ && c < w_.out[2]; ++c)
      columns(memory)[c] = static_cast<float>(taps_at(w_, 2, c, padding_));
    return phases_.layout_in(memory);
  }

  // `count` planes of x, one after the other.
  void run(const float* x, std::int64_t count, const Phases::Layout& layout, std::byte* memory,
           float* y) const {
    const kernels::PairWindows pairs = pair_windows(w_);
    for (std::int64_t p = 0; p < count; p += pairs_ ? 1 : phases_.together()) {
      const float* from = x + p * volume(w_.in);
      float* to = y + p * volume(w_.out);
      if (pairs_) {
        call_.machine.convolve.most_of_pairs(from, pairs, to);
      } else {
        some(from, std::min(phases_.together(), count - p), layout, memory, to);
      }
    }
  }

 private:
  float* rows(std::byte* memory) const { return reinterpret_cast<float*>(memory + space_.planes); }
  float* columns(std::byte* memory) const {
    return reinterpret_cast<float*>(memory + space_.planes + space_.rows);
  }

  // As many as are laid out together, at most.
  void some(const float* x, std::int64_t count, const Phases::Layout& layout, std::byte* memory,
            float* y) const {
    const kernels::ConvolveKernels& kernels = call_.machine.convolve;
    const float outside = means_ ? 0.0f : -std::numeric_limits<float>::infinity();
    x = phases_.lay_out(kernels, layout, x, count, outside);
    const kernels::WindowRows windows = phases_.rows_of(layout);
    for (std::int64_t p = 0; p < count; ++p, x += phases_.plane_step(), y += volume(w_.out)) {
      if (means_) {
        kernels.mean(x, windows, rows(memory), columns(memory), y);
      } else {
        kernels.most(x, windows, y);
      }
    }
  }

  const Call& call_;
  Windows w_;
  Phases phases_;
  Workspace space_;
  bool means_ = false, padding_ = false, pairs_ = false;
};

// A volume's pooled planes, of which each of the result takes some.
class VolumePool {
 public:
  VolumePool(const Call& call, const Windows& w)
      : call_(call), w_(w), planes_(call, w, Pooled::kMost) {}

  std::size_t pooled_bytes() const {
    return Memory::aligned(static_cast<std::size_t>(w_.in[0] * plane_size(w_)) * sizeof(float));
  }
  std::size_t offset_bytes() const {
    return Memory::aligned(static_cast<std::size_t>(w_.kernel[0]) * sizeof(std::int64_t));
  }
  std::size_t bytes() const { return pooled_bytes() + offset_bytes() + planes_.bytes(); }

  void run(std::int64_t begin, std::int64_t end, std::byte* memory) const {
    auto* pooled = reinterpret_cast<float*>(memory);
    auto* offsets = reinterpret_cast<std::int64_t*>(memory + pooled_bytes());
    std::byte* rest = memory + pooled_bytes() + offset_bytes();
    const Phases::Layout layout = planes_.prepare(rest);
    for (std::int64_t v = begin; v < end; ++v) {
      planes_.run(call_.inputs[0]->floats() + v * volume(w_.in), w_.in[0], layout, rest, pooled);
      for (std::int64_t d = 0; d < w_.out[0]; ++d)
        join(pooled, d, offsets, call_.outputs[0]->floats() + v * volume(w_.out));
    }
  }

 private:
  // Plane d of the result.
  void join(const float* pooled, std::int64_t d, std::int64_t* offsets, float* y) const {
    const std::int64_t start = d * w_.stride[0] - w_.begin[0], size = plane_size(w_);
    const Taps taps = taps_inside(start, w_.kernel[0], w_.dilation[0], w_.in[0]);
    const std::int64_t count = taps.last - taps.first;
    if (count == 0) {
      std::fill_n(y + d * size, size, -std::numeric_limits<float>::infinity());
      return;
    }
    for (std::int64_t a = 0; a < count; ++a)
      offsets[a] = (start + (taps.first + a) * w_.dilation[0]) * size;
    call_.machine.convolve.most(pooled, {offsets, count, 1, size, 0}, y + d * size);
  }

  const Call& call_;
  Windows w_;
  PlanePool planes_;
};

}  // namespace

bool pools_by_rows(const Call& call, const Windows& w) {
  constexpr std::int64_t kMost = std::int64_t{1} << 28;  // floats
  const bool most = call.instruction.op == program::Op::kMaxPool;
  if (call.inputs[0]->type != program::Type::kF32 || output_at(call, 1) != nullptr ||
      volume(w.out) == 0 || (!most && !is_flat(w)) || !Phases::fits(plane_windows(w)))
    return false;
  const auto pooled = checked_mul(w.in[0], plane_size(w));
  return pooled && *pooled <= kMost && w.kernel[0] <= 1 << 16;
}

std::size_t row_pool_bytes(const Call& call, const Windows& w) {
  const std::size_t one =
      is_flat(w) ? PlanePool(call, w, Pooled::kMost).bytes() : VolumePool(call, w).bytes();
  return one * static_cast<std::size_t>(call.machine.pool.threads());
}

Status pool_rows(Call& call, const Windows& w, Pooled pooled) {
  const std::int64_t volumes = call.inputs[0]->dims[0] * call.inputs[0]->dims[1];
  const int threads = call.machine.pool.threads();
  if (!is_flat(w)) {
    const VolumePool pool(call, w);
    ScratchParts scratch(call.scratch, threads, pool.bytes());
    over_rows(call.machine, scratch, volumes, volume(w.out) * volume(w.kernel),
              [&](std::int64_t begin, std::int64_t end, std::byte* memory) {
                pool.run(begin, end, memory);
              });
    return ok();
  }
  const PlanePool pool(call, w, pooled);
  ScratchParts scratch(call.scratch, threads, pool.bytes());
  over_rows(call.machine, scratch, volumes * w.in[0], plane_size(w) * volume(w.kernel),
            [&](std::int64_t begin, std::int64_t end, std::byte* memory) {
              const std::int64_t size = w.in[1] * w.in[2];
              pool.run(call.inputs[0]->floats() + begin * size, end - begin, pool.prepare(memory),
                       memory, call.outputs[0]->floats() + begin * plane_size(w));
            });
  return ok();
}

}  // namespace thimble::runtime

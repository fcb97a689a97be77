// Pools of f32 planes, a row of the result at a time: each tap is a run of elements (phases.h), or
// every other element of one.

#include "runtime/ops/pool_rows.h"

#include <algorithm>
#include <limits>

#include "runtime/memory.h"
#include "runtime/ops/phases.h"

namespace thimble::runtime {
namespace {

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

Status pool_pairs(Call& call, const Windows& w) {
  const kernels::PairWindows windows = pair_windows(w);
  const Dims& x = call.inputs[0]->dims;
  over_each(call.machine, x[0] * x[1], volume(w.out) * volume(w.kernel), [&](std::int64_t plane) {
    call.machine.convolve.most_of_pairs(call.inputs[0]->floats() + plane * volume(w.in), windows,
                                        call.outputs[0]->floats() + plane * volume(w.out));
  });
  return ok();
}

class RowPool {
 public:
  RowPool(Call& call, const Windows& w, Pooled pooled)
      : call_(call), w_(w), phases_(w), space_(w, phases_), means_(pooled == Pooled::kMean) {
    padding_ = call.instruction.integer("count_include_pad", 0) != 0;
  }

  Status run() {
    ScratchParts scratch(call_.scratch, call_.machine.pool.threads(), space_.total());
    const Dims& x = call_.inputs[0]->dims;
    over_rows(call_.machine, scratch, x[0] * x[1], volume(w_.out) * volume(w_.kernel),
              [&](std::int64_t begin, std::int64_t end, std::byte* memory) {
                prepare(memory);
                const Phases::Layout layout = phases_.layout_in(memory);
                for (std::int64_t p = begin; p < end; p += phases_.together())
                  planes(p, std::min(phases_.together(), end - p), layout, memory);
              });
    return ok();
  }

 private:
  float* rows(std::byte* memory) const { return reinterpret_cast<float*>(memory + space_.planes); }
  float* columns(std::byte* memory) const {
    return reinterpret_cast<float*>(memory + space_.planes + space_.rows);
  }

  void prepare(std::byte* memory) const {
    if (!means_) return;
    for (std::int64_t r = 0; r < w_.out[1]; ++r)
      rows(memory)[r] = static_cast<float>(taps_at(w_, 1, r, padding_));
    for (std::int64_t c = 0; c < w_.out[2]; ++c)
      columns(memory)[c] = static_cast<float>(taps_at(w_, 2, c, padding_));
  }

  // Planes [first, first + count).
  void planes(std::int64_t first, std::int64_t count, const Phases::Layout& layout,
              std::byte* memory) const {
    const kernels::ConvolveKernels& kernels = call_.machine.convolve;
    const float outside = means_ ? 0.0f : -std::numeric_limits<float>::infinity();
    const float* x = phases_.lay_out(
        kernels, layout, call_.inputs[0]->floats() + first * volume(w_.in), count, outside);
    float* y = call_.outputs[0]->floats() + first * volume(w_.out);
    const kernels::WindowRows windows = phases_.rows_of(layout);
    for (std::int64_t p = 0; p < count; ++p, x += phases_.plane_step(), y += volume(w_.out)) {
      if (means_) {
        kernels.mean(x, windows, rows(memory), columns(memory), y);
      } else {
        kernels.most(x, windows, y);
      }
    }
  }

  Call& call_;
  Windows w_;
  Phases phases_;
  Workspace space_;
  bool means_, padding_;
};

}  // namespace

bool pools_by_rows(const Call& call, const Windows& w) {
  return call.inputs[0]->type == program::Type::kF32 && output_at(call, 1) == nullptr &&
         volume(w.out) > 0 && Phases::fits(w);
}

std::size_t row_pool_bytes(const Call& call, const Windows& w) {
  if (moves_by_pairs(call, w)) return 0;
  return Workspace(w, Phases(w)).total() * static_cast<std::size_t>(call.machine.pool.threads());
}

Status pool_rows(Call& call, const Windows& w, Pooled pooled) {
  if (moves_by_pairs(call, w)) return pool_pairs(call, w);
  return RowPool(call, w, pooled).run();
}

}  // namespace thimble::runtime

// Pools of f32 planes, a row of the result at a time: each tap is a run of elements (phases.h).

#include "runtime/ops/pool_rows.h"

#include <algorithm>
#include <limits>

#include "runtime/ops/phases.h"
#include "support/checked.h"

namespace thimble::runtime {
namespace {

std::size_t rounded(std::int64_t count, std::size_t size) {
  return round_up<std::size_t>(static_cast<std::size_t>(count) * size, 64);
}

// What one thread works in: the plane, a pointer and a weight of 1 a tap, the taps of each column.
struct Workspace {
  std::size_t plane, pointers, ones, columns;

  Workspace(const Windows& w, const Phases& phases)
      : plane(phases.bytes()),
        pointers(rounded(volume(w.kernel), sizeof(float*))),
        ones(rounded(volume(w.kernel), sizeof(float))),
        columns(rounded(w.out[2], sizeof(float))) {}
  std::size_t total() const { return plane + pointers + ones + columns; }
};

// Taps of the windows at `position` on axis `d`: those in the image, or with its padding.
std::int64_t taps_at(const Windows& w, std::size_t d, std::int64_t position, bool padding) {
  const std::int64_t start = position * w.stride[d] - w.begin[d];
  const std::int64_t size = w.in[d] + (padding ? w.end[d] : 0);
  const Taps taps = taps_inside(start, w.kernel[d], w.dilation[d], size);
  return padding ? taps.last : taps.last - taps.first;
}

class RowPool {
 public:
  RowPool(Call& call, const Windows& w, bool average)
      : call_(call), w_(w), phases_(w), space_(w, phases_), average_(average) {
    padding_ = call.instruction.integer("count_include_pad", 0) != 0;
  }

  Status run() {
    ScratchParts scratch(call_.scratch, call_.machine.pool.threads(), space_.total());
    const Dims& x = call_.inputs[0]->dims;
    over_rows(call_.machine, x[0] * x[1], volume(w_.out) * volume(w_.kernel),
              [&](std::size_t begin, std::size_t end) {
                std::byte* memory = scratch.take();
                prepare(memory);
                const Phases::Layout layout = phases_.layout_in(memory);
                for (std::size_t p = begin; p < end; ++p)
                  plane(static_cast<std::int64_t>(p), layout, memory);
                scratch.give_back(memory);
              });
    return ok();
  }

 private:
  float* ones(std::byte* memory) const {
    return reinterpret_cast<float*>(memory + space_.plane + space_.pointers);
  }
  float* columns(std::byte* memory) const {
    return reinterpret_cast<float*>(memory + space_.plane + space_.pointers + space_.ones);
  }

  void prepare(std::byte* memory) const {
    if (!average_) return;
    std::fill_n(ones(memory), volume(w_.kernel), 1.0f);
    for (std::int64_t c = 0; c < w_.out[2]; ++c)
      columns(memory)[c] = static_cast<float>(taps_at(w_, 2, c, padding_));
  }

  void plane(std::int64_t p, const Phases::Layout& layout, std::byte* memory) const {
    const kernels::ConvolveKernels& kernels = call_.machine.convolve;
    const float outside = average_ ? 0.0f : -std::numeric_limits<float>::infinity();
    const float* x =
        phases_.lay_out(kernels, layout, call_.inputs[0]->floats() + p * volume(w_.in), outside);
    auto** taps = reinterpret_cast<const float**>(memory + space_.plane);
    float* y = call_.outputs[0]->floats() + p * volume(w_.out);
    phases_.taps(x, taps);
    for (std::int64_t row = 0; row < w_.out[1]; ++row, y += w_.out[2]) {
      if (row > 0) phases_.next_row(taps);
      if (!average_) {
        kernels.most(taps, volume(w_.kernel), w_.out[2], y);
        continue;
      }
      kernels.taps(taps, ones(memory), volume(w_.kernel), w_.out[2], {}, y);
      const auto high = static_cast<float>(taps_at(w_, 1, row, padding_));
      const float* wide = columns(memory);
      for (std::int64_t c = 0; c < w_.out[2]; ++c) {
        const float count = high * wide[c];
        y[c] = count > 0 ? y[c] / count : 0.0f;
      }
    }
  }

  Call& call_;
  Windows w_;
  Phases phases_;
  Workspace space_;
  bool average_, padding_;
};

}  // namespace

bool pools_by_rows(const Call& call, const Windows& w) {
  return call.inputs[0]->type == program::Type::kF32 && output_at(call, 1) == nullptr &&
         volume(w.out) > 0 && Phases::fits(w);
}

std::size_t row_pool_bytes(const Call& call, const Windows& w) {
  return Workspace(w, Phases(w)).total() * static_cast<std::size_t>(call.machine.pool.threads());
}

Status pool_rows(Call& call, const Windows& w, bool average) {
  return RowPool(call, w, average).run();
}

}  // namespace thimble::runtime

// Convolutions whose weight lies in tiles: the product of the weight with each window of the image
// (im2col), a few windows at a time so that they stay in the cache. An output's bits depend neither
// on how windows are cut into runs nor on threads, as those of products.

#include <algorithm>

#include "runtime/memory.h"
#include "runtime/ops/coded_windows.h"
#include "runtime/ops/epilogue.h"
#include "runtime/ops/product_rows.h"
#include "support/checked.h"

namespace thimble::runtime {
namespace {

constexpr std::int64_t kRun = 64;  // windows at a time

Status shape_tiles(const Call& call, std::vector<Dims>& results) {
  const Value &x = *call.inputs[0], &weight = *call.inputs[1];
  THIMBLE_TRY(Activations::check(call.instruction));
  THIMBLE_TRY(demand(x.type == program::Type::kF32 && weight.tensor != nullptr &&
                         call.outputs[0]->type == program::Type::kF32,
                     "ConvTiles takes f32 and a weight in tiles"));
  THIMBLE_ASSIGN(const Convolution c, convolution_of(call, x.dims, weight.dims));
  const std::int64_t inputs = c.group_channels() * volume(c.windows.kernel);
  THIMBLE_TRY(demand(weight.grouped.rows == c.outputs && weight.grouped.inputs == inputs &&
                         (c.group == 1 || c.group_outputs() % kernels::kTileRows == 0),
                     "a convolution's groups don't fit its tiles"));
  results[0] = c.windows.result(c.batch, c.outputs);
  return check_epilogue(call, c.outputs, results[0]);
}

// What one thread works in: windows [kRun, inputs] as floats, or what CodedWindows takes; the same
// as codes, results [kRun, outputs of a group], and the kernel's own scratch.
struct Workspace {
  std::size_t windows, rows, results, kernel;

  Workspace(const Activations& how, const Convolution& c, std::int64_t inputs) {
    windows = Memory::aligned(static_cast<std::size_t>(kRun * inputs) * sizeof(float));
    if (how.fixed) windows = std::max(windows, CodedWindows::bytes(c.windows, inputs));
    rows = ProductRows::bytes(how, kRun, inputs);
    results = Memory::aligned(static_cast<std::size_t>(kRun * c.group_outputs()) * sizeof(float));
    kernel = Memory::aligned(kernels::linear_scratch_bytes(kRun, inputs));
  }
  std::size_t total() const { return windows + rows + results + kernel; }
};

std::size_t scratch_of(const Call& call) {
  const auto c = convolution_of(call, call.inputs[0]->dims, call.inputs[1]->dims);
  if (!c) return 0;  // run says why
  const Activations how = Activations::of(call);
  const Workspace space(how, *c, call.inputs[1]->grouped.inputs);
  const std::size_t codes = how.fixed ? image_codes_bytes(call.inputs[0]->count()) : 0;
  return codes + space.total() * static_cast<std::size_t>(call.machine.pool.threads());
}

// One window of `channels` planes, in the order of the weight's inputs; 0 outside the image.
void copy_window(const Windows& w, const float* image, std::int64_t channels, const Space& start,
                 float* out) {
  Taps taps[3];
  for (std::size_t d = 0; d < 3; ++d)
    taps[d] = taps_inside(start[d], w.kernel[d], w.dilation[d], w.in[d]);
  const bool whole = std::all_of(taps, taps + 3, [&](const Taps& t) {
    return t.first == 0 && t.last == w.kernel[static_cast<std::size_t>(&t - taps)];
  });
  if (!whole) std::fill_n(out, static_cast<std::size_t>(channels * volume(w.kernel)), 0.0f);
  for (std::int64_t c = 0; c < channels; ++c) {
    const float* plane = image + c * volume(w.in);
    float* to = out + c * volume(w.kernel);
    for (std::int64_t a = taps[0].first; a < taps[0].last; ++a) {
      const std::int64_t depth = start[0] + a * w.dilation[0];
      for (std::int64_t b = taps[1].first; b < taps[1].last; ++b) {
        const std::int64_t row = start[1] + b * w.dilation[1];
        const float* from = plane + (depth * w.in[1] + row) * w.in[2] + start[2];
        float* line = to + (a * w.kernel[1] + b) * w.kernel[2];
        for (std::int64_t k = taps[2].first; k < taps[2].last; ++k)
          line[k] = from[k * w.dilation[2]];
      }
    }
  }
}

class TiledConvolution {
 public:
  TiledConvolution(Call& call, const Convolution& c)
      : call_(call),
        c_(c),
        inputs_(call.inputs[1]->grouped.inputs),
        how_(Activations::of(call)),
        space_(how_, c, inputs_),
        finish_(epilogue_of(call)),
        positions_(volume(c.windows.out)),
        runs_(ceil_div(positions_, kRun)) {}

  Status run() {
    std::span<std::byte> memory_left = call_.scratch;
    if (how_.fixed) {
      const Value& x = *call_.inputs[0];
      codes_ = image_codes(call_.machine, x.floats(), x.count(), how_, memory_left.data());
      memory_left = memory_left.subspan(image_codes_bytes(x.count()));
    }
    ScratchParts scratch(memory_left, call_.machine.pool.threads(), space_.total());
    const std::int64_t jobs = c_.batch * c_.group * runs_;
    over_each(call_.machine, scratch, jobs, kRun * inputs_ * c_.group_outputs(),
              [&](std::int64_t job, std::byte* memory) {
                run_windows(job / runs_ / c_.group, job / runs_ % c_.group, job % runs_ * kRun,
                            memory);
              });
    return ok();
  }

 private:
  void run_windows(std::int64_t image, std::int64_t group, std::int64_t first, std::byte* memory) {
    const std::int64_t count = std::min(kRun, positions_ - first);
    auto* windows = reinterpret_cast<float*>(memory);
    auto* results = reinterpret_cast<float*>(memory + space_.windows + space_.rows);
    const std::int64_t plane =
        (image * c_.channels + group * c_.group_channels()) * volume(c_.windows.in);
    const ProductRows rows(how_, memory + space_.windows, count, inputs_);
    if (codes_ != nullptr) {
      CodedWindows(c_.windows, inputs_, memory)
          .fill(codes_ + plane, c_.group_channels(), first, count, how_, rows.codes());
    } else {
      for (std::int64_t i = 0; i < count; ++i) {
        copy_window(c_.windows, call_.inputs[0]->floats() + plane, c_.group_channels(),
                    c_.windows.start_of(first + i), windows + i * inputs_);
      }
      rows.quantize(call_.machine.linear, windows, inputs_, 0, count);
    }
    multiply(rows, windows, group, results, memory);
    store(image, group, first, count, results);
  }

  void multiply(const ProductRows& rows, const float* windows, std::int64_t group, float* results,
                std::byte* memory) const {
    const kernels::LinearKernels& kernels = call_.machine.linear;
    const std::int64_t tiles = ceil_div<std::int64_t>(c_.group_outputs(), kernels::kTileRows);
    const kernels::GroupedWeight weight =
        tiles_of(call_.inputs[1]->grouped, group * tiles, (group + 1) * tiles);
    rows.quantize_zeros();
    rows.multiply(kernels, weight, windows, inputs_, 0, tiles, results, c_.group_outputs(),
                  memory + space_.windows + space_.rows + space_.results);
  }

  // [windows, outputs] to planes, finished. As many outputs at a time as lie in a line of the
  // cache.
  void store(std::int64_t image, std::int64_t group, std::int64_t first, std::int64_t count,
             const float* results) const {
    static constexpr float kOne = 1;
    static constexpr std::int64_t kHere = 0;
    constexpr std::int64_t kTogether = kernels::kTileRows;
    const std::int64_t outputs = c_.group_outputs();
    float planes[kTogether][kRun];
    for (std::int64_t start = 0; start < outputs; start += kTogether) {
      const std::int64_t together = std::min(kTogether, outputs - start);
      turn(results + start, outputs, count, together, planes[0]);
      for (std::int64_t o = 0; o < together; ++o) {
        const std::int64_t channel = group * outputs + start + o;
        const std::int64_t at = (image * c_.outputs + channel) * positions_ + first;
        call_.machine.convolve.taps(planes[o], {&kHere, 1, 1, count, 0}, &kOne,
                                    moved(finish_, channel, at), call_.outputs[0]->floats() + at);
      }
    }
  }

  // [windows, columns], of rows `stride` apart, to [columns, kRun].
  static void turn(const float* from, std::int64_t stride, std::int64_t windows,
                   std::int64_t columns, float* to) {
    std::int64_t i = 0;
    for (; i + 4 <= windows; i += 4) {
      const float* row = from + i * stride;
      for (std::int64_t o = 0; o < columns; ++o) {
        float* line = to + o * kRun + i;
        line[0] = row[o];
        line[1] = row[o + stride];
        line[2] = row[o + 2 * stride];
        line[3] = row[o + 3 * stride];
      }
    }
    for (; i < windows; ++i) {
      for (std::int64_t o = 0; o < columns; ++o) to[o * kRun + i] = from[i * stride + o];
    }
  }

  Call& call_;
  Convolution c_;
  std::int64_t inputs_;
  Activations how_;
  Workspace space_;
  kernels::Epilogue finish_;
  std::int64_t positions_, runs_;
  const std::int8_t* codes_ = nullptr;  // of the whole image, where its scale is known
};

Status run_tiles(Call& call) {
  THIMBLE_ASSIGN(const Convolution c,
                 convolution_of(call, call.inputs[0]->dims, call.inputs[1]->dims));
  return TiledConvolution(call, c).run();
}

}  // namespace

std::span<const Operator> tiled_convolutions() {
  static constexpr Operator kOperators[] = {
      {program::Op::kConvTiles, run_tiles, scratch_of, shape_tiles},
  };
  return kOperators;
}

}  // namespace thimble::runtime

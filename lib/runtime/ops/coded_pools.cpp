// Pools of codes: the largest, whose codes stay what they are, and means.

#include <algorithm>

#include "runtime/ops/coded.h"
#include "support/checked.h"

namespace thimble::runtime {
namespace {

using program::Op;
using program::Type;

bool is_global(const Call& call) { return call.instruction.integer("global", 0) != 0; }

Expected<Windows> pool_windows_of(const Call& call) {
  THIMBLE_TRY(check_codes(*call.inputs[0]));
  const Dims image = channels_first(call.inputs[0]->dims);
  if (!is_global(call)) return windows_of(call, image, {});
  Windows w;
  w.rank = image.size() - 2;
  std::copy(image.begin() + 2, image.end(), w.in.end() - static_cast<std::ptrdiff_t>(w.rank));
  w.kernel = w.in;
  return w;
}

Status shape_coded_pool(const Call& call, std::vector<Dims>& results) {
  THIMBLE_TRY(code_range_of(call));
  THIMBLE_ASSIGN(const Windows w, pool_windows_of(call));
  std::int64_t taps = 1;
  for (const std::int64_t size : w.kernel) taps = checked_mul(taps, size).value_or(0);
  THIMBLE_TRY(
      demand(call.outputs[0]->type == Type::kU8 && taps > 0 && taps <= kernels::kMostCodedInputs,
             "a pool of codes has no windows, or too large ones"));
  const Dims& x = call.inputs[0]->dims;
  results[0] = channels_last(w.result(x[0], x.back()));
  return ok();
}

// What one thread works in: where each tap lies, bytes outside the image, and a mean's parameters.
struct PoolSpace {
  std::size_t taps, outside, offsets, factors;

  PoolSpace(const Windows& w, std::int64_t channels) {
    const auto round = [](std::size_t bytes) { return round_up<std::size_t>(bytes, 64); };
    const auto width = static_cast<std::size_t>(channels);
    taps = round(static_cast<std::size_t>(volume(w.kernel)) * sizeof(const std::uint8_t*));
    outside = round(width);
    offsets = round(width * sizeof(std::int32_t));
    factors = round(width * sizeof(float));
  }
  std::size_t total() const { return taps + outside + offsets + factors; }
};

std::size_t scratch_coded_pool(const Call& call) {
  const auto w = pool_windows_of(call);
  if (!w) return 0;  // run says why
  return PoolSpace(*w, call.inputs[0]->dims.back()).total() *
         static_cast<std::size_t>(call.machine.pool.threads());
}

// How many taps of a window lie in the image, and how many of them in its padding as well.
struct Counted {
  std::int64_t inside = 1, padded = 1;
  bool operator==(const Counted&) const = default;
};

Counted count_window(const Windows& w, const Space& start) {
  Counted count;
  for (std::size_t d = 0; d < 3; ++d) {
    const Taps taps = taps_inside(start[d], w.kernel[d], w.dilation[d], w.in[d]);
    count.inside *= taps.last - taps.first;
    count.padded *= taps_inside(start[d], w.kernel[d], w.dilation[d], w.in[d] + w.end[d]).last;
  }
  return count;
}

class CodedPool {
 public:
  CodedPool(Call& call, const Windows& w, const CodeRange& range, bool mean)
      : call_(call),
        w_(w),
        range_(range),
        mean_(mean),
        padding_(call.instruction.integer("count_include_pad", 0) != 0),
        factor_(call.instruction.real("factor", 1)),
        channels_(call.inputs[0]->dims.back()),
        space_(w, channels_) {}

  Status run() {
    const std::int64_t batch = call_.inputs[0]->dims[0], lines = w_.out[0] * w_.out[1];
    ScratchParts scratch(call_.scratch, call_.machine.pool.threads(), space_.total());
    over_each(call_.machine, scratch, batch * lines, w_.out[2] * volume(w_.kernel) * channels_ / 8,
              [&](std::int64_t job, std::byte* memory) { line(job / lines, job % lines, memory); });
    return ok();
  }

 private:
  void line(std::int64_t image, std::int64_t line, std::byte* memory) const {
    auto** taps = reinterpret_cast<const std::uint8_t**>(memory);
    auto* outside = reinterpret_cast<std::uint8_t*>(memory + space_.taps);
    auto* offsets = reinterpret_cast<std::int32_t*>(memory + space_.taps + space_.outside);
    auto* factors =
        reinterpret_cast<float*>(memory + space_.taps + space_.outside + space_.offsets);
    std::fill_n(outside, channels_, std::uint8_t{0});
    const auto* x = data_of<std::uint8_t>(*call_.inputs[0]) + image * volume(w_.in) * channels_;
    const std::int64_t first = line * w_.out[2];
    std::uint8_t* y =
        data_of<std::uint8_t>(*call_.outputs[0]) + (image * volume(w_.out) + first) * channels_;
    Counted known{-1, -1};
    Space start = w_.start_of(first);
    for (std::int64_t p = 0; p < w_.out[2]; ++p, y += channels_, start[2] += w_.stride[2]) {
      list_taps(w_, x, channels_, start, outside, taps);
      if (!mean_) {
        call_.machine.coded.most(taps, volume(w_.kernel), channels_, y);
        continue;
      }
      const Counted count = count_window(w_, start);
      if (!(count == known)) fill_parameters(count, offsets, factors);
      known = count;
      mean(taps, offsets, factors, y);
    }
  }

  // Codes outside the image are 0 here, and not the zero's.
  void fill_parameters(const Counted& count, std::int32_t* offsets, float* factors) const {
    const std::int64_t taps = std::max<std::int64_t>(padding_ ? count.padded : count.inside, 1);
    std::fill_n(offsets, channels_, static_cast<std::int32_t>(-count.inside * range_.x_zero));
    std::fill_n(factors, channels_, factor_ / static_cast<float>(taps));
  }

  void mean(const std::uint8_t** taps, const std::int32_t* offsets, const float* factors,
            std::uint8_t* y) const {
    constexpr std::int64_t kTogether = 256;
    std::int8_t ones[kTogether];
    std::fill_n(ones, kTogether, std::int8_t{1});
    const std::int64_t count = volume(w_.kernel);
    for (std::int64_t c = 0; c < channels_; c += kTogether) {
      const kernels::Requantize to{offsets, factors, range_.zero, range_.low, range_.high};
      call_.machine.coded.taps(taps, ones, 0, count, std::min(kTogether, channels_ - c), to, y + c);
      for (std::int64_t t = 0; t < count; ++t) taps[t] += kTogether;
    }
  }

  Call& call_;
  Windows w_;
  CodeRange range_;
  bool mean_, padding_;
  float factor_;
  std::int64_t channels_;
  PoolSpace space_;
};

Status run_coded_pool(Call& call) {
  THIMBLE_ASSIGN(const Windows w, pool_windows_of(call));
  THIMBLE_ASSIGN(const CodeRange range, code_range_of(call));
  return CodedPool(call, w, range, call.instruction.op == Op::kAveragePoolCodes).run();
}

}  // namespace

std::span<const Operator> coded_pools() {
  static constexpr Operator kOperators[] = {
      {Op::kMaxPoolCodes, run_coded_pool, scratch_coded_pool, shape_coded_pool},
      {Op::kAveragePoolCodes, run_coded_pool, scratch_coded_pool, shape_coded_pool},
  };
  return kOperators;
}

}  // namespace thimble::runtime

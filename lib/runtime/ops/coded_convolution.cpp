// Convolutions of codes: the windows of a run of places as rows of bytes, times the weight,
// straight to the next convolution's codes. Where a window is one place, the image is the rows.

#include <algorithm>

#include "runtime/ops/window_bytes.h"
#include "support/checked.h"

namespace thimble::runtime {
namespace {

using program::Type;

bool is_depthwise(const Call& call) { return call.inputs[1]->tensor == nullptr; }

// As ONNX sees it: [outputs, channels of a group, kernel...].
Dims weight_dims(const Call& call) {
  const Dims& dims = call.inputs[1]->dims;
  if (!is_depthwise(call)) return dims;
  Dims out = {dims.back(), 1};
  out.insert(out.end(), dims.begin(), dims.end() - 1);
  return out;
}

Expected<Convolution> coded_convolution_of(const Call& call) {
  THIMBLE_TRY(check_codes(*call.inputs[0]));
  const Value& w = *call.inputs[1];
  THIMBLE_TRY(demand(w.tensor != nullptr || (w.type == Type::kI8 && w.dims.size() > 1),
                     "ConvCodes takes a weight of codes"));
  return convolution_of(call, channels_first(call.inputs[0]->dims), weight_dims(call));
}

Status shape_coded_conv(const Call& call, std::vector<Dims>& results) {
  THIMBLE_TRY(code_range_of(call));
  THIMBLE_ASSIGN(const Convolution c, coded_convolution_of(call));
  const Value &w = *call.inputs[1], &offset = *call.inputs[2], &factor = *call.inputs[3];
  THIMBLE_TRY(demand(offset.type == Type::kI32 && offset.count() == c.outputs &&
                         factor.type == Type::kF32 && factor.count() == c.outputs &&
                         call.outputs[0]->type == Type::kU8,
                     "ConvCodes takes an offset and a factor for each output, and gives codes"));
  const bool fits = is_depthwise(call) ? c.group == c.channels && c.outputs == c.channels &&
                                             volume(c.windows.kernel) <= kernels::kMostCodedInputs
                                       : w.tensor->group_size == c.group_outputs();
  THIMBLE_TRY(demand(fits, "a convolution's groups don't fit its weight"));
  results[0] = channels_last(c.windows.result(c.batch, c.outputs));
  return ok();
}

std::size_t part_bytes(const Call& call, const Convolution& c) {
  if (is_depthwise(call)) {
    const auto taps = static_cast<std::size_t>(volume(c.windows.kernel));
    return round_up<std::size_t>(taps * sizeof(const std::uint8_t*), 64) +
           round_up<std::size_t>(static_cast<std::size_t>(c.channels), 64);
  }
  return WindowBytes(c, 0).bytes();
}

std::size_t scratch_coded_conv(const Call& call) {
  const auto c = coded_convolution_of(call);
  if (!c) return 0;  // run says why
  return part_bytes(call, *c) * static_cast<std::size_t>(call.machine.pool.threads());
}

class CodedConvolution {
 public:
  CodedConvolution(Call& call, const Convolution& c, const CodeRange& range)
      : call_(call),
        c_(c),
        range_(range),
        windows_(c, range.x_zero),
        places_(volume(c.windows.out)),
        to_{data_of<std::int32_t>(*call.inputs[2]), call.inputs[3]->floats(), range.zero, range.low,
            range.high} {}

  Status run() {
    ScratchParts scratch(call_.scratch, call_.machine.pool.threads(), part_bytes(call_, c_));
    windows_.over_runs(call_.machine, scratch,
                       [&](const WindowRun& run, std::byte* memory) { multiply(run, memory); });
    return ok();
  }

  Status run_depthwise() {
    const std::int64_t lines = c_.windows.out[0] * c_.windows.out[1];
    ScratchParts scratch(call_.scratch, call_.machine.pool.threads(), part_bytes(call_, c_));
    over_each(call_.machine, scratch, c_.batch * lines,
              c_.windows.out[2] * volume(c_.windows.kernel) * c_.channels,
              [&](std::int64_t job, std::byte* memory) {
                depthwise_line(job / lines, job % lines, memory);
              });
    return ok();
  }

 private:
  const std::uint8_t* image_at(std::int64_t image) const {
    return data_of<std::uint8_t>(*call_.inputs[0]) + image * volume(c_.windows.in) * c_.channels;
  }
  std::uint8_t* result_at(std::int64_t image, std::int64_t place) const {
    return data_of<std::uint8_t>(*call_.outputs[0]) + (image * places_ + place) * c_.outputs;
  }

  void multiply(const WindowRun& run, std::byte* memory) const {
    const auto rows = windows_.rows(image_at(run.image) + run.group * c_.group_channels(), run,
                                    reinterpret_cast<std::uint8_t*>(memory));
    const std::int64_t output = run.group * c_.group_outputs() + run.begin;
    kernels::Requantize to = to_;
    to.offset += output;
    to.factor += output;
    call_.machine.coded.multiply(windows_.tiles(data_of<std::int8_t>(*call_.inputs[1]), run),
                                 windows_.inputs(), rows.data, rows.stride, run.count,
                                 run.end - run.begin, to, result_at(run.image, run.first) + output,
                                 c_.outputs);
  }

  void depthwise_line(std::int64_t image, std::int64_t line, std::byte* memory) const {
    const Windows& w = c_.windows;
    auto** taps = reinterpret_cast<const std::uint8_t**>(memory);
    auto* outside = reinterpret_cast<std::uint8_t*>(
        memory + round_up<std::size_t>(
                     static_cast<std::size_t>(volume(w.kernel)) * sizeof(const std::uint8_t*), 64));
    std::fill_n(outside, c_.channels, static_cast<std::uint8_t>(range_.x_zero));
    Space start = w.start_of(line * w.out[2]);
    for (std::int64_t p = line * w.out[2]; p < (line + 1) * w.out[2];
         ++p, start[2] += w.stride[2]) {
      list_taps(w, image_at(image), c_.channels, start, outside, taps);
      call_.machine.coded.taps(taps, data_of<std::int8_t>(*call_.inputs[1]), c_.channels,
                               volume(w.kernel), c_.channels, to_, result_at(image, p));
    }
  }

  Call& call_;
  Convolution c_;
  CodeRange range_;
  WindowBytes windows_;
  std::int64_t places_;
  kernels::Requantize to_;
};

Status run_coded_conv(Call& call) {
  THIMBLE_ASSIGN(const Convolution c, coded_convolution_of(call));
  THIMBLE_ASSIGN(const CodeRange range, code_range_of(call));
  CodedConvolution convolution(call, c, range);
  return is_depthwise(call) ? convolution.run_depthwise() : convolution.run();
}

}  // namespace

std::span<const Operator> coded_convolutions() {
  static constexpr Operator kOperators[] = {
      {program::Op::kConvCodes, run_coded_conv, scratch_coded_conv, shape_coded_conv},
  };
  return kOperators;
}

}  // namespace thimble::runtime

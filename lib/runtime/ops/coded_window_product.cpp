// Products of an image's windows of codes, found as the model ran, with weights of codes: the image
// with its channels last, windows as rows of bytes, sums straight to floats, channels first again.

#include <algorithm>
#include <numeric>

#include "runtime/ops/coded_product.h"
#include "runtime/ops/transpose_bytes.h"
#include "runtime/ops/window_bytes.h"
#include "support/checked.h"

namespace thimble::runtime {
namespace {

using program::Type;

constexpr std::int64_t kOutputsAtOnce = 64;  // whole tiles

Expected<Convolution> window_convolution_of(const Call& call) {
  return convolution_of(call, call.inputs[kX]->dims, call.inputs[kWeight]->dims);
}

std::size_t in_lines(std::int64_t bytes) {
  return round_up(static_cast<std::size_t>(bytes), std::size_t{64});
}

// What a call needs beside its operands, cut from its scratch.
struct WindowTerms {
  std::int32_t* offset;
  float* factor;
  std::uint8_t* images;  // x, channels last
  std::span<std::byte> parts;

  static std::int64_t image_bytes(const Convolution& c) {
    return c.batch * c.channels * volume(c.windows.in);
  }
  static std::size_t bytes(const Convolution& c) {
    return 2 * in_lines(4 * c.outputs) + in_lines(image_bytes(c));
  }
  WindowTerms(std::span<std::byte> memory, const Convolution& c)
      : offset(reinterpret_cast<std::int32_t*>(memory.data())),
        factor(reinterpret_cast<float*>(memory.data() + in_lines(4 * c.outputs))),
        images(reinterpret_cast<std::uint8_t*>(memory.data() + 2 * in_lines(4 * c.outputs))),
        parts(memory.subspan(bytes(c))) {}
};

// What a thread needs at once.
struct WindowPart {
  float* sums;  // [kRunPlaces][kOutputsAtOnce]
  std::int32_t* x_sums;
  std::uint8_t* rows;

  static constexpr std::int64_t kSumBytes = 4 * kRunPlaces * kOutputsAtOnce;
  static std::size_t bytes(const WindowBytes& windows) {
    return in_lines(kSumBytes + 4 * kRunPlaces + static_cast<std::int64_t>(windows.bytes()));
  }
  explicit WindowPart(std::byte* memory)
      : sums(reinterpret_cast<float*>(memory)),
        x_sums(reinterpret_cast<std::int32_t*>(memory + kSumBytes)),
        rows(reinterpret_cast<std::uint8_t*>(memory + kSumBytes + 4 * kRunPlaces)) {}
};

// `count` places of up to eight channels, `pitch` apart, to channels last.
void move_channels(const std::uint8_t* x, std::int64_t pitch, std::int64_t some, std::int64_t count,
                   std::int64_t channels, std::uint8_t* y) {
  for (std::int64_t place = 0; place < count; place += 8) {
    const std::int64_t places = std::min<std::int64_t>(8, count - place);
    std::uint64_t rows[8] = {};
    for (std::int64_t i = 0; i < some; ++i)
      copy_few(x + i * pitch + place, places, reinterpret_cast<std::uint8_t*>(&rows[i]));
    transpose_bytes(rows);
    for (std::int64_t p = 0; p < places; ++p)
      copy_few(reinterpret_cast<const std::uint8_t*>(&rows[p]), some, y + (place + p) * channels);
  }
}

class WindowProduct {
 public:
  WindowProduct(Call& call, const Convolution& c)
      : call_(call),
        c_(c),
        windows_(c, *operand_of<std::uint8_t>(call, kXZero)),
        terms_(call.scratch, c),
        places_(volume(c.windows.out)) {}

  void run() {
    prepare_product_terms(call_, windows_.inputs(), c_.outputs, terms_.offset, terms_.factor);
    move_images();
    ScratchParts scratch(terms_.parts, call_.machine.pool.threads(), WindowPart::bytes(windows_));
    windows_.over_runs(call_.machine, scratch, [&](const WindowRun& run, std::byte* memory) {
      multiply_run(run, WindowPart(memory));
    });
  }

 private:
  void move_images() const {
    const std::int64_t pitch = volume(c_.windows.in),
                       eights = ceil_div(c_.channels, std::int64_t{8});
    const auto* x = operand_of<std::uint8_t>(call_, kX);
    over_each(call_.machine, c_.batch * eights, 8 * pitch, [&](std::int64_t unit) {
      const std::int64_t first = unit % eights * 8, image = unit / eights * c_.channels * pitch;
      move_channels(x + image + first * pitch, pitch,
                    std::min<std::int64_t>(8, c_.channels - first), pitch, c_.channels,
                    terms_.images + image + first);
    });
  }

  void multiply_run(const WindowRun& run, const WindowPart& part) const {
    const std::uint8_t* image = terms_.images + run.image * c_.channels * volume(c_.windows.in);
    const auto rows = windows_.rows(image + run.group * c_.group_channels(), run, part.rows);
    if (operand_of<std::int32_t>(call_, kZero) != nullptr) {
      for (std::int64_t p = 0; p < run.count; ++p) {
        const std::uint8_t* row = rows.data + p * rows.stride;
        part.x_sums[p] = std::accumulate(row, row + windows_.inputs(), std::int32_t{0});
      }
    }
    WindowRun some = run;
    for (some.begin = run.begin; some.begin < run.end; some.begin = some.end) {
      some.end = std::min(some.begin + kOutputsAtOnce, run.end);
      multiply(rows, some, part);
      float* y = result_at(some);
      for (std::int64_t i = 0; i < some.end - some.begin; ++i) {
        for (std::int64_t p = 0; p < run.count; ++p)
          y[i * places_ + p] = part.sums[p * kOutputsAtOnce + i];
      }
    }
  }

  float* result_at(const WindowRun& run) const {
    const std::int64_t plane = run.image * c_.outputs + run.group * c_.group_outputs() + run.begin;
    return call_.outputs[0]->floats() + plane * places_ + run.first;
  }

  void multiply(const WindowBytes::Rows& rows, const WindowRun& run, const WindowPart& part) const {
    const std::int64_t output = run.group * c_.group_outputs() + run.begin;
    const auto from = [&](auto* vector) { return vector != nullptr ? vector + output : nullptr; };
    kernels::Dequantize to;
    to.offset = terms_.offset + output;
    to.factor = terms_.factor + output;
    to.bias = from(operand_of<float>(call_, kBias));
    to.zero = from(operand_of<std::int32_t>(call_, kZero));
    to.x_sums = part.x_sums;
    call_.machine.coded.multiply_to_floats(
        windows_.tiles(operand_of<std::int8_t>(call_, kWeight), run), windows_.inputs(), rows.data,
        rows.stride, run.count, run.end - run.begin, to, part.sums, kOutputsAtOnce);
  }

  Call& call_;
  Convolution c_;
  WindowBytes windows_;
  WindowTerms terms_;
  std::int64_t places_;
};

}  // namespace

bool is_window_product(const Call& call) {
  const program::Tensor* weight = call.inputs[kWeight]->tensor;
  return weight != nullptr && weight->dims.size() > 2;
}

Status shape_window_product(const Call& call, std::vector<Dims>& results) {
  const Value& x = *call.inputs[kX];
  const program::Tensor& w = *call.inputs[kWeight]->tensor;
  THIMBLE_TRY(demand(x.type == Type::kU8, "a convolution of codes takes u8 images"));
  THIMBLE_ASSIGN(const Convolution c, window_convolution_of(call));
  THIMBLE_TRY(demand(w.group_size == c.group_outputs() && w.rows == c.outputs &&
                         w.inputs == c.group_channels() * volume(c.windows.kernel),
                     "a convolution's groups don't fit its weight"));
  THIMBLE_TRY(check_product_vectors(call, c.outputs));
  results[0] = c.windows.result(c.batch, c.outputs);
  return ok();
}

std::size_t scratch_window_product(const Call& call) {
  const auto c = window_convolution_of(call);
  if (!c) return 0;  // run says why
  return WindowTerms::bytes(*c) + WindowPart::bytes(WindowBytes(*c, 0)) *
                                      static_cast<std::size_t>(call.machine.pool.threads());
}

Status run_window_product(Call& call) {
  THIMBLE_ASSIGN(const Convolution c, window_convolution_of(call));
  WindowProduct(call, c).run();
  return ok();
}

}  // namespace thimble::runtime

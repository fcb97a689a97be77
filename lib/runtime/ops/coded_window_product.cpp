// Products of an image's windows of codes, found as the model ran, with weights of codes: the image
// with its channels last, windows as rows of bytes, sums straight to floats, channels first again.

#include <algorithm>
#include <numeric>

#include "runtime/ops/coded.h"
#include "runtime/ops/coded_product.h"
#include "runtime/ops/transpose_bytes.h"
#include "runtime/ops/window_bytes.h"
#include "support/checked.h"

namespace thimble::runtime {
namespace {

using program::Type;

constexpr std::int64_t kPlacesAtOnce = 64;
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
  float* sums;  // [kPlacesAtOnce][kOutputsAtOnce]
  std::int32_t* x_sums;
  std::uint8_t* rows;

  static constexpr std::int64_t kSumBytes = 4 * kPlacesAtOnce * kOutputsAtOnce;
  static std::size_t bytes(const WindowBytes& windows) {
    const std::int64_t rows = windows.in_place() ? 0 : kPlacesAtOnce * windows.row_bytes();
    return in_lines(kSumBytes + 4 * kPlacesAtOnce + rows);
  }
  explicit WindowPart(std::byte* memory)
      : sums(reinterpret_cast<float*>(memory)),
        x_sums(reinterpret_cast<std::int32_t*>(memory + kSumBytes)),
        rows(reinterpret_cast<std::uint8_t*>(memory + kSumBytes + 4 * kPlacesAtOnce)) {}
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
    const std::int64_t runs = ceil_div(places_, kPlacesAtOnce), jobs = c_.batch * c_.group * runs;
    const TileParts parts(jobs, c_.group_outputs(), call_.machine.pool.threads());
    ScratchParts scratch(terms_.parts, call_.machine.pool.threads(), WindowPart::bytes(windows_));
    over_each(call_.machine, scratch, parts.units(),
              kPlacesAtOnce * windows_.row_bytes() * c_.group_outputs() / parts.parts,
              [&](std::int64_t unit, std::byte* memory) {
                const std::int64_t job = parts.job(unit);
                multiply_run(job / runs, job % runs * kPlacesAtOnce, parts.begin(unit),
                             parts.end(unit), WindowPart(memory));
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

  // Outputs [begin, end) of a group at places [first, first + kPlacesAtOnce). `picture` counts the
  // groups of all images.
  void multiply_run(std::int64_t picture, std::int64_t first, std::int64_t begin, std::int64_t end,
                    const WindowPart& part) const {
    const std::int64_t group = picture % c_.group, image = picture / c_.group;
    const std::int64_t count = std::min(kPlacesAtOnce, places_ - first);
    const std::uint8_t* x =
        terms_.images + image * c_.channels * volume(c_.windows.in) + group * c_.group_channels();
    const bool in_place = windows_.in_place();
    if (!in_place) windows_.fill(x, first, count, part.rows);
    const std::uint8_t* rows = in_place ? x + first * c_.channels : part.rows;
    const std::int64_t stride = in_place ? c_.channels : windows_.row_bytes();
    if (operand_of<std::int32_t>(call_, kZero) != nullptr) {
      for (std::int64_t p = 0; p < count; ++p) {
        const std::uint8_t* row = rows + p * stride;
        part.x_sums[p] = std::accumulate(row, row + windows_.inputs(), std::int32_t{0});
      }
    }
    for (std::int64_t n = begin; n < end; n += kOutputsAtOnce) {
      const std::int64_t outputs = std::min(kOutputsAtOnce, end - n);
      multiply(rows, stride, count, group, n, outputs, part);
      const std::int64_t plane = image * c_.outputs + group * c_.group_outputs() + n;
      float* y = call_.outputs[0]->floats() + plane * places_ + first;
      for (std::int64_t i = 0; i < outputs; ++i) {
        for (std::int64_t p = 0; p < count; ++p)
          y[i * places_ + p] = part.sums[p * kOutputsAtOnce + i];
      }
    }
  }

  void multiply(const std::uint8_t* rows, std::int64_t stride, std::int64_t count,
                std::int64_t group, std::int64_t first, std::int64_t outputs,
                const WindowPart& part) const {
    const std::int64_t tiles = ceil_div<std::int64_t>(c_.group_outputs(), kernels::kCodedRows);
    const std::int64_t tile = group * tiles + first / kernels::kCodedRows;
    const std::int64_t output = group * c_.group_outputs() + first;
    const auto from = [&](auto* vector) { return vector != nullptr ? vector + output : nullptr; };
    kernels::Dequantize to;
    to.offset = terms_.offset + output;
    to.factor = terms_.factor + output;
    to.bias = from(operand_of<float>(call_, kBias));
    to.zero = from(operand_of<std::int32_t>(call_, kZero));
    to.x_sums = part.x_sums;
    call_.machine.coded.multiply_to_floats(operand_of<std::int8_t>(call_, kWeight) +
                                               tile * kernels::coded_tile_bytes(windows_.inputs()),
                                           windows_.inputs(), rows, stride, count, outputs, to,
                                           part.sums, kOutputsAtOnce);
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

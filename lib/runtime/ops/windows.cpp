// Sliding windows: attributes, padding, sizes of results.

#include <algorithm>

#include "runtime/ops/images.h"

namespace thimble::runtime {
namespace {

constexpr std::int64_t kMost = std::int64_t{1} << 30;  // of a stride, a dilation, a kernel, a pad

// An attribute of one number an axis.
Status read(const Call& call, std::string_view name, std::size_t rank, std::int64_t least,
            std::int64_t* out) {
  const program::Attribute* attribute = call.instruction.find(name);
  if (attribute == nullptr || attribute->ints.empty()) return ok();
  if (attribute->ints.size() != rank)
    return invalid_argument(std::string(name) + " doesn't have one number an axis");
  for (std::size_t i = 0; i < rank; ++i) {
    if (attribute->ints[i] < least || attribute->ints[i] > kMost)
      return invalid_argument(std::string(name) + " is out of range");
    out[i] = attribute->ints[i];
  }
  return ok();
}

Status read_pads(const Call& call, Windows& w) {
  Space both[2] = {{0, 0, 0}, {0, 0, 0}};
  std::array<std::int64_t, 6> flat{};
  THIMBLE_TRY(read(call, "pads", 2 * w.rank, 0, flat.data()));
  for (std::size_t i = 0; i < 2 * w.rank; ++i) both[i / w.rank][3 - w.rank + i % w.rank] = flat[i];
  w.begin = both[0];
  w.end = both[1];
  return ok();
}

// Padding so that the result is ceil(in / stride) long.
void pad_same(Windows& w, bool upper) {
  for (std::size_t d = 0; d < 3; ++d) {
    w.out[d] = (w.in[d] + w.stride[d] - 1) / w.stride[d];
    const std::int64_t all =
        std::max<std::int64_t>((w.out[d] - 1) * w.stride[d] + w.extent(d) - w.in[d], 0);
    w.begin[d] = upper ? all / 2 : all - all / 2;
    w.end[d] = all - w.begin[d];
  }
}

}  // namespace

std::int64_t product_of(const Dims& dims, std::size_t begin, std::size_t end) {
  std::int64_t product = 1;
  for (std::size_t d = begin; d < end; ++d) product *= dims[d];
  return product;
}

Dims Windows::result(std::int64_t batch, std::int64_t channels) const {
  Dims dims = {batch, channels};
  dims.insert(dims.end(), out.end() - static_cast<std::ptrdiff_t>(rank), out.end());
  return dims;
}

Expected<Windows> steps_of(const Call& call, const Dims& image,
                           std::span<const std::int64_t> kernel) {
  Windows w;
  if (image.size() < 3 || image.size() > 5)
    return unsupported("windows slide over images of one to three spatial axes");
  w.rank = image.size() - 2;
  const std::size_t first = 3 - w.rank;
  std::copy(image.begin() + 2, image.end(), w.in.begin() + static_cast<std::ptrdiff_t>(first));
  if (kernel.empty()) {
    if (call.instruction.find("kernel_shape") == nullptr)
      return invalid_argument("kernel_shape is missing");
    THIMBLE_TRY(read(call, "kernel_shape", w.rank, 1, &w.kernel[first]));
  } else {
    if (kernel.size() != w.rank) return invalid_argument("the weight's rank isn't the image's");
    for (std::size_t i = 0; i < w.rank; ++i) {
      if (kernel[i] < 1 || kernel[i] > kMost)
        return invalid_argument("a kernel's size is out of range");
      w.kernel[first + i] = kernel[i];
    }
    Space stated = w.kernel;
    THIMBLE_TRY(read(call, "kernel_shape", w.rank, 1, &stated[first]));
    if (stated != w.kernel) return invalid_argument("kernel_shape isn't the weight's shape");
  }
  THIMBLE_TRY(read(call, "strides", w.rank, 1, &w.stride[first]));
  THIMBLE_TRY(read(call, "dilations", w.rank, 1, &w.dilation[first]));
  return w;
}

Expected<Windows> windows_of(const Call& call, const Dims& image,
                             std::span<const std::int64_t> kernel) {
  THIMBLE_ASSIGN(Windows w, steps_of(call, image, kernel));
  const std::string_view pad = call.instruction.text("auto_pad", "NOTSET");
  if (pad == "SAME_UPPER" || pad == "SAME_LOWER") {
    pad_same(w, pad == "SAME_UPPER");
    return w;
  }
  if (pad == "NOTSET" || pad.empty()) {
    THIMBLE_TRY(read_pads(call, w));
  } else if (pad != "VALID") {
    return invalid_argument("auto_pad '" + std::string(pad) + "' is unknown");
  }
  const bool up = call.instruction.integer("ceil_mode", 0) != 0 && pad != "VALID";
  for (std::size_t d = 0; d < 3; ++d) {
    const std::int64_t room = w.in[d] + w.begin[d] + w.end[d] - w.extent(d);
    if (room < 0) return invalid_argument("a window is larger than the padded image");
    w.out[d] = room / w.stride[d] + 1;
    // A last window that is cut off counts where it starts in the image or the padding before it.
    if (up && room % w.stride[d] != 0 && w.out[d] * w.stride[d] < w.in[d] + w.begin[d])
      w.out[d] += 1;
  }
  return w;
}

Taps taps_inside(std::int64_t start, std::int64_t kernel, std::int64_t dilation,
                 std::int64_t size) {
  Taps taps{0, kernel};
  if (start < 0) taps.first = (-start + dilation - 1) / dilation;
  if (start + (kernel - 1) * dilation >= size)
    taps.last = size > start ? (size - start + dilation - 1) / dilation : 0;
  taps.last = std::max(taps.last, taps.first);
  return taps;
}

}  // namespace thimble::runtime

// Shapes of windows that slide over images: convolutions and pools.

#include <algorithm>

#include "ir/ops/shape_context.h"
#include "ir/ops/shape_functions.h"

namespace thimble::ir::shapes {
namespace {

using Numbers = std::vector<std::int64_t>;

constexpr std::int64_t kMost = std::int64_t{1} << 30;  // of a stride, a dilation, a kernel, a pad

// An attribute of `count` numbers, or `fallback` where it is absent.
Expected<Numbers> list(const ShapeContext& c, std::string_view name, std::size_t count,
                       std::int64_t fallback, std::int64_t least) {
  Numbers out = c.node().integers(std::string(name));
  if (out.empty()) return Numbers(count, fallback);
  if (out.size() != count) {
    return invalid_file(std::string(name) + " has " + std::to_string(out.size()) +
                        " numbers, not " + std::to_string(count));
  }
  for (const std::int64_t number : out) {
    if (number < least || number > kMost)
      return invalid_file(std::string(name) + " is out of range: " + std::to_string(number));
  }
  return out;
}

struct Windows {
  std::size_t rank = 0;  // spatial axes
  Numbers kernel, stride, dilation, pads;
  std::string pad;
  bool ceil = false;

  bool same() const { return pad == "SAME_UPPER" || pad == "SAME_LOWER"; }
  std::int64_t extent(std::size_t d) const { return (kernel[d] - 1) * dilation[d] + 1; }
  std::int64_t padding(std::size_t d) const {
    return pad == "VALID" ? 0 : pads[d] + pads[rank + d];
  }
};

// The kernel's sizes: of the weight where there is one, else of `kernel_shape`.
Expected<Numbers> kernel_sizes(const ShapeContext& c, std::size_t rank, const Shape* weight) {
  if (weight == nullptr && c.node().find("kernel_shape") == nullptr)
    return invalid_file("kernel_shape is missing");
  THIMBLE_ASSIGN(Numbers stated, list(c, "kernel_shape", rank, 0, 1));
  if (weight == nullptr) return stated;
  if (weight->size() != rank + 2) {
    return invalid_file("a weight of shape " + to_string(*weight) + " does not fit an image of " +
                        std::to_string(rank) + " spatial axes");
  }
  for (std::size_t d = 0; d < rank; ++d) {
    const auto size = (*weight)[d + 2].constant();
    if (size && ((stated[d] != 0 && stated[d] != *size) || *size < 1 || *size > kMost))
      return invalid_file("kernel_shape and the weight's shape differ");
    if (size) stated[d] = *size;
    if (stated[d] == 0) return unsupported("a kernel whose size is not known");
  }
  return stated;
}

Expected<Windows> windows_of(const ShapeContext& c, const Shape& image, const Shape* weight) {
  if (image.size() < 3) {
    return invalid_file("an image has a batch, channels and spatial axes, not the shape " +
                        to_string(image));
  }
  Windows w;
  w.rank = image.size() - 2;
  THIMBLE_ASSIGN(w.kernel, kernel_sizes(c, w.rank, weight));
  THIMBLE_ASSIGN(w.stride, list(c, "strides", w.rank, 1, 1));
  THIMBLE_ASSIGN(w.dilation, list(c, "dilations", w.rank, 1, 1));
  THIMBLE_ASSIGN(w.pads, list(c, "pads", 2 * w.rank, 0, 0));
  w.pad = c.node().text("auto_pad", "NOTSET");
  w.ceil = c.node().integer("ceil_mode", 0) != 0 && w.pad != "VALID";
  return w;
}

// Places of a window along one axis.
Expected<Dim> places(const Windows& w, std::size_t d, const Dim& size) {
  const std::int64_t stride = w.stride[d];
  if (w.same()) return Dim::floor_div(size + Dim(stride - 1), stride);
  const Dim room = size + Dim(w.padding(d)) - Dim(w.extent(d));
  if (room.constant().value_or(0) < 0)
    return invalid_file("a window is larger than the padded image");
  const Dim whole = Dim::floor_div(room + Dim(stride), stride);
  if (!w.ceil || stride == 1) return whole;
  const auto number = room.constant(), out = whole.constant();
  if (!number || !out) return unsupported("ceil_mode over an image whose size is not known");
  // A last window that is cut off counts where it starts in the image or the padding before it.
  const bool more =
      *number % stride != 0 && *out * stride < *number + w.extent(d) - w.pads[w.rank + d];
  return Dim(*out + (more ? 1 : 0));
}

// [batch, channels, places...].
Expected<Shape> slide(const Windows& w, const Shape& image, Dim channels) {
  Shape out = {image[0], std::move(channels)};
  for (std::size_t d = 0; d < w.rank; ++d) {
    THIMBLE_ASSIGN(Dim size, places(w, d, image[d + 2]));
    out.push_back(std::move(size));
  }
  return out;
}

// Channels of `weight` along its axis 1 are those of the image, divided by the groups.
Status check_channels(const ShapeContext& c, const Dim& image, const Dim& weight,
                      const Dim& outputs) {
  const std::int64_t group = c.node().integer("group", 1);
  if (group < 1 || group > kMost) return invalid_file("group is out of range");
  const auto whole = image.constant(), part = weight.constant(), out = outputs.constant();
  if (whole && part && (*whole % group != 0 || *whole / group != *part)) {
    return invalid_file("an image of " + std::to_string(*whole) + " channels in " +
                        std::to_string(group) + " groups does not fit a weight of " +
                        std::to_string(*part));
  }
  if (out && *out % group != 0) return invalid_file("group does not divide the results' channels");
  return ok();
}

Status convolution(ShapeContext& c, std::size_t weight, DType type) {
  const Shape &image = c.shape(0), &taps = c.shape(weight);
  THIMBLE_ASSIGN(const Windows w, windows_of(c, image, &taps));
  THIMBLE_TRY(check_channels(c, image[1], taps[1], taps[0]));
  THIMBLE_ASSIGN(Shape out, slide(w, image, taps[0]));
  c.give(type, std::move(out));
  return ok();
}

}  // namespace

Status conv(ShapeContext& c) { return convolution(c, 1, c.dtype(0)); }
Status conv_integer(ShapeContext& c) { return convolution(c, 1, DType::kI32); }
Status conv_quantized(ShapeContext& c) { return convolution(c, 3, c.dtype(7)); }

Status conv_transpose(ShapeContext& c) {
  const Shape &image = c.shape(0), &taps = c.shape(1);
  THIMBLE_ASSIGN(const Windows w, windows_of(c, image, &taps));
  const auto given = image[1].constant(), taken = taps[0].constant();
  if (given && taken && *given != *taken)
    return invalid_file("the weight's channels are not the image's");
  THIMBLE_ASSIGN(const Numbers extra, list(c, "output_padding", w.rank, 0, 0));
  Numbers sizes = c.node().integers("output_shape");
  if (!sizes.empty() && sizes.size() < w.rank) return invalid_file("output_shape is too short");
  Shape out = {image[0], taps[1] * Dim(c.node().integer("group", 1))};
  for (std::size_t d = 0; d < w.rank; ++d) {
    if (!sizes.empty()) {
      out.push_back(sizes[sizes.size() - w.rank + d]);
    } else if (w.same()) {
      out.push_back(image[d + 2] * Dim(w.stride[d]));
    } else {
      out.push_back((image[d + 2] - Dim(1)) * Dim(w.stride[d]) + Dim(extra[d]) + Dim(w.extent(d)) -
                    Dim(w.padding(d)));
    }
  }
  c.give(c.dtype(0), std::move(out));
  return ok();
}

Status pool(ShapeContext& c) {
  const Shape& image = c.shape(0);
  THIMBLE_ASSIGN(const Windows w, windows_of(c, image, nullptr));
  THIMBLE_ASSIGN(const Shape out, slide(w, image, image[1]));
  c.give({{c.dtype(0), out, {}}, {DType::kI64, out, {}}});
  return ok();
}

Status global_pool(ShapeContext& c) {
  Shape out = c.shape(0);
  if (out.size() < 2) return invalid_file("an image has a batch and channels");
  std::fill(out.begin() + 2, out.end(), Dim(1));
  c.give(c.dtype(0), std::move(out));
  return ok();
}

Status max_unpool(ShapeContext& c) {
  const Shape& image = c.shape(0);
  if (c.has(2)) {
    THIMBLE_ASSIGN(DimData sizes, c.need_data(2, "output_shape"));
    c.give(c.dtype(0), std::move(sizes));
    return ok();
  }
  THIMBLE_ASSIGN(const Windows w, windows_of(c, image, nullptr));
  Shape out = {image[0], image[1]};
  for (std::size_t d = 0; d < w.rank; ++d) {
    out.push_back((image[d + 2] - Dim(1)) * Dim(w.stride[d]) + Dim(w.kernel[d]) -
                  Dim(w.padding(d)));
  }
  c.give(c.dtype(0), std::move(out));
  return ok();
}

// (columns [batch, channels * taps, windows], image sizes, block sizes).
Status columns_to_image(ShapeContext& c) {
  const Shape& columns = c.shape(0);
  if (columns.size() != 3) return invalid_file("Col2Im takes columns [batch, taps, windows]");
  THIMBLE_ASSIGN(const DimData image, c.need_data(1, "the image's shape"));
  THIMBLE_ASSIGN(const DimData block, c.need_data(2, "the block's shape"));
  const Dim taps = element_count(block);
  if (taps == Dim(0)) return invalid_file("a block has no elements");
  Shape out = {columns[0], Dim::floor_div(columns[1], taps)};
  out.insert(out.end(), image.begin(), image.end());
  c.give(c.dtype(0), std::move(out));
  return ok();
}

}  // namespace thimble::ir::shapes

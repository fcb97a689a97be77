#include "calibrate/patches.h"

#include <algorithm>

namespace thimble::calibrate {
namespace {

constexpr std::int64_t kRowsBytes = std::int64_t{4} << 20;  // that are held at once

// One spatial axis.
struct Axis {
  std::int64_t size = 1, kernel = 1, stride = 1, dilation = 1, before = 0, positions = 1;
};

std::int64_t number_at(const std::vector<std::int64_t>& numbers, std::size_t at,
                       std::int64_t fallback) {
  return numbers.empty() ? fallback : numbers[at];
}

Axis axis_of(const Patches& patches, std::size_t d, std::int64_t size) {
  Axis axis{size, patches.kernel[d], number_at(patches.strides, d, 1),
            number_at(patches.dilations, d, 1)};
  const std::int64_t extent = (axis.kernel - 1) * axis.dilation + 1;
  if (patches.auto_pad == "SAME_UPPER" || patches.auto_pad == "SAME_LOWER") {
    axis.positions = (size + axis.stride - 1) / axis.stride;
    const std::int64_t all =
        std::max<std::int64_t>((axis.positions - 1) * axis.stride + extent - size, 0);
    axis.before = patches.auto_pad == "SAME_UPPER" ? all / 2 : all - all / 2;
    return axis;
  }
  const bool padded = patches.auto_pad != "VALID";
  const std::int64_t after = padded ? number_at(patches.pads, patches.kernel.size() + d, 0) : 0;
  axis.before = padded ? number_at(patches.pads, d, 0) : 0;
  axis.positions =
      std::max<std::int64_t>((size + axis.before + after - extent) / axis.stride + 1, 0);
  return axis;
}

// Where the taps of the window at `position` (counted over all axes) lie in a channel; -1: outside.
void find_taps(std::span<const Axis> axes, std::int64_t position, std::span<std::int64_t> taps) {
  taps[0] = 0;
  std::size_t count = 1;
  std::vector<std::int64_t> places(axes.size());
  for (std::size_t d = axes.size(); d-- > 0;) {
    places[d] = position % axes[d].positions;
    position /= axes[d].positions;
  }
  for (std::size_t d = 0; d < axes.size(); ++d) {
    const Axis& axis = axes[d];
    const auto kernel = static_cast<std::size_t>(axis.kernel);
    for (std::size_t t = count; t-- > 0;) {  // from the end: each tap becomes a row of them
      const std::int64_t outer = taps[t];
      for (std::size_t k = kernel; k-- > 0;) {
        const std::int64_t at =
            places[d] * axis.stride - axis.before + static_cast<std::int64_t>(k) * axis.dilation;
        const bool inside = outer >= 0 && at >= 0 && at < axis.size;
        taps[t * kernel + k] = inside ? outer * axis.size + at : -1;
      }
    }
    count *= kernel;
  }
}

}  // namespace

Patches Patches::of(const ir::Model& model, ir::NodeId id, const ir::Convolution& convolution) {
  const ir::Node& node = model.graph.node(id);
  const std::vector<std::int64_t>& dims = model.weight(convolution.weight).dims;
  Patches patches;
  patches.groups = convolution.group;
  patches.channels = dims[1];
  patches.kernel.assign(dims.begin() + 2, dims.end());
  patches.strides = node.integers("strides");
  patches.dilations = node.integers("dilations");
  patches.pads = node.integers("pads");
  patches.auto_pad = node.text("auto_pad", "NOTSET");
  return patches;
}

std::int64_t Patches::width() const {
  std::int64_t width = channels;
  for (const std::int64_t size : kernel) width *= size;
  return width;
}

Status each_patch(const Patches& patches, const runtime::TensorView& image, std::int64_t group,
                  const std::function<void(std::span<const float> rows)>& f) {
  if (image.type != program::Type::kF32 || image.dims.size() != patches.kernel.size() + 2 ||
      image.dims[1] != patches.groups * patches.channels)
    return unsupported("a convolution is calibrated on f32 images of its own shape");
  std::vector<Axis> axes;
  std::int64_t area = 1, positions = 1;
  for (std::size_t d = 0; d < patches.kernel.size(); ++d) {
    axes.push_back(axis_of(patches, d, image.dims[d + 2]));
    area *= axes.back().size;
    positions *= axes.back().positions;
  }
  const std::int64_t width = patches.width();
  std::vector<std::int64_t> taps(static_cast<std::size_t>(width / patches.channels));
  const std::int64_t step = std::max<std::int64_t>(kRowsBytes / 4 / width, 1);
  std::vector<float> rows;
  for (std::int64_t n = 0; n < image.dims[0]; ++n) {
    const float* first = static_cast<const float*>(image.data) +
                         (n * image.dims[1] + group * patches.channels) * area;
    for (std::int64_t begin = 0; begin < positions; begin += step) {
      rows.clear();
      for (std::int64_t p = begin; p < std::min(begin + step, positions); ++p) {
        find_taps(axes, p, taps);
        for (std::int64_t c = 0; c < patches.channels; ++c) {
          for (const std::int64_t tap : taps)
            rows.push_back(tap < 0 ? 0.0f : first[c * area + tap]);
        }
      }
      f(rows);
    }
  }
  return ok();
}

}  // namespace thimble::calibrate

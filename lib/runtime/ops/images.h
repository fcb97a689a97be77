#pragma once
// What the operators over images and sequences share; images.cpp lists them.

#include <array>
#include <span>

#include "runtime/ops/operands.h"

namespace thimble::runtime {

std::span<const Operator> convolution_operators();    // convolution.cpp: f32 and f64
std::span<const Operator> transposed_convolutions();  // convolution_transposed.cpp
std::span<const Operator> whole_convolutions();       // convolution_whole.cpp: int8
std::span<const Operator> tiled_convolutions();       // convolution_tiles.cpp: weights in tiles
std::span<const Operator> panel_convolutions();       // convolution_panels.cpp: f32, in panels
std::span<const Operator> coded_convolutions();       // coded_convolution.cpp: on codes
std::span<const Operator> coded_images();             // coded_images.cpp: to codes and back, sums
std::span<const Operator> coded_pools();              // coded_pools.cpp
std::span<const Operator> pool_operators();           // pool.cpp
std::span<const Operator> normalization_operators();  // normalize.cpp
std::span<const Operator> resize_operators();         // resize.cpp
std::span<const Operator> rearranging_operators();    // rearrange.cpp: DepthToSpace, Pad, ...
std::span<const Operator> recurrent_operators();      // recurrent.cpp
std::span<const Operator> sampling_operators();       // sample.cpp: GridSample, RoiAlign, ...
std::span<const Operator> spreading_operators();      // spread.cpp: MaxUnpool, Col2Im
std::span<const Operator> row_normalizations();       // normalize_rows.cpp

// Up to three spatial axes, the last ones used; those in front are 1 long.
using Space = std::array<std::int64_t, 3>;
inline std::int64_t volume(const Space& s) { return s[0] * s[1] * s[2]; }

// Windows that slide over an image [batch, channels, spatial...]: the attributes `kernel_shape`,
// `strides`, `dilations`, `pads`, `auto_pad`, `ceil_mode` of ONNX's convolutions and pools.
struct Windows {
  std::size_t rank = 0;  // spatial axes, 1 to 3
  Space in{1, 1, 1}, out{1, 1, 1}, kernel{1, 1, 1}, stride{1, 1, 1}, dilation{1, 1, 1};
  Space begin{0, 0, 0}, end{0, 0, 0};  // padding, >= 0

  std::int64_t extent(std::size_t d) const { return (kernel[d] - 1) * dilation[d] + 1; }
  // Place `p` of the result by its axes, and where such a place has its window's first tap.
  Space place(std::int64_t p) const {
    return {p / (out[1] * out[2]), p / out[2] % out[1], p % out[2]};
  }
  Space start_at(const Space& place) const {
    Space start{};
    for (std::size_t d = 0; d < 3; ++d) start[d] = place[d] * stride[d] - begin[d];
    return start;
  }
  Space start_of(std::int64_t p) const { return start_at(place(p)); }
  // The dims of a result of `channels`.
  Dims result(std::int64_t batch, std::int64_t channels) const;
};
// `kernel`: the spatial dims of a weight, or empty: `kernel_shape` says it. Checks everything.
Expected<Windows> windows_of(const Call& call, const Dims& image,
                             std::span<const std::int64_t> kernel);
// The parts of it that transposed convolutions and Col2Im share: all but pads and `out`.
Expected<Windows> steps_of(const Call& call, const Dims& image,
                           std::span<const std::int64_t> kernel);

// The taps [first, last) of a window at `start` that fall inside [0, size).
struct Taps {
  std::int64_t first, last;
};
Taps taps_inside(std::int64_t start, std::int64_t kernel, std::int64_t dilation, std::int64_t size);

}  // namespace thimble::runtime

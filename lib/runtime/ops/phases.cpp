#include "runtime/ops/phases.h"

#include <algorithm>

namespace thimble::runtime {

Phases::Phases(const Windows& w) : w_(w) {
  in_place_ = w.stride[2] == 1;
  for (std::size_t d = 1; d < 3; ++d) {
    const bool inside = w.begin[d] == 0 && (w.out[d] - 1) * w.stride[d] + w.extent(d) <= w.in[d];
    in_place_ = in_place_ && inside;
  }
}

bool Phases::fits(const Windows& w) {
  constexpr std::int64_t kMost = std::int64_t{1} << 28;  // floats
  if (w.in[0] != 1 || w.kernel[0] != 1 || w.out[0] != 1) return false;
  for (std::size_t d = 1; d < 3; ++d) {
    const auto reach = checked_mul(w.out[d], w.stride[d]);
    if (!reach || *reach > kMost || w.extent(d) > kMost) return false;
  }
  const Phases phases(w);
  const auto floats = checked_mul(phases.rows(), phases.pitch());
  const auto pieces = checked_mul(phases.rows(), w.stride[2]);
  return floats && *floats <= kMost && pieces && *pieces <= kMost / 16 &&
         volume(w.kernel) <= 1 << 16;
}

std::int64_t Phases::together() const {
  constexpr std::int64_t kNear = 32768;  // floats that stay in the second-level cache
  return in_place_ ? 1 : std::clamp<std::int64_t>(kNear / plane_floats(), 1, 16);
}

// Each phase of a row has a part in the image, whose first and last vector it may share, and parts
// outside before and after it.
std::int64_t Phases::most_slices() const {
  return rows() * w_.stride[2] * (ceil_div<std::int64_t>(phase(), 16) + 3);
}

std::size_t Phases::bytes() const {
  const auto offsets = static_cast<std::size_t>(volume(w_.kernel)) * sizeof(std::int64_t);
  if (in_place_) return round_up<std::size_t>(offsets, 64);
  const auto floats = static_cast<std::size_t>(together() * plane_floats());
  const auto slices = static_cast<std::size_t>(most_slices());
  return round_up<std::size_t>(floats * sizeof(float) + slices * sizeof(kernels::Slice) + offsets,
                               64);
}

void Phases::list_row(std::int64_t r, std::int32_t to, Slicer& out) const {
  const auto put = [&](std::int64_t from, std::int64_t count) {
    out.put({from, to, static_cast<std::int32_t>(count)});
    to += static_cast<std::int32_t>(count);
  };
  const std::int64_t row = r - w_.begin[1];
  if (row < 0 || row >= w_.in[1]) return put(-1, pitch());
  const std::int64_t stride = w_.stride[2], width = phase();
  for (std::int64_t p = 0; p < stride; ++p) {
    // Element i of a phase is column i * stride + p - begin.
    const std::int64_t start = p - w_.begin[2];
    const std::int64_t first = std::min(start < 0 ? (-start + stride - 1) / stride : 0, width);
    const std::int64_t last =
        std::clamp(w_.in[2] > start ? (w_.in[2] - start + stride - 1) / stride : 0, first, width);
    put(-1, first);
    put(row * w_.in[2] + start + first * stride, last - first);
    put(-1, width - last);
  }
}

void Phases::list_offsets(std::int64_t* out) const {
  for (std::int64_t r = 0; r < w_.kernel[1]; ++r) {
    const std::int64_t line = r * w_.dilation[1] * pitch();
    for (std::int64_t c = 0; c < w_.kernel[2]; ++c) {
      const std::int64_t column = c * w_.dilation[2];
      *out++ =
          line + (in_place_ ? column : column % w_.stride[2] * phase() + column / w_.stride[2]);
    }
  }
}

Phases::Layout Phases::layout_in(std::byte* memory) const {
  if (in_place_) {
    auto* const offsets = reinterpret_cast<std::int64_t*>(memory);
    list_offsets(offsets);
    return {nullptr, 0, offsets, nullptr};
  }
  auto* const floats = reinterpret_cast<float*>(memory);
  auto* const slices = reinterpret_cast<kernels::Slice*>(floats + together() * plane_floats());
  auto* const offsets = reinterpret_cast<std::int64_t*>(slices + most_slices());
  Slicer slicer(w_.stride[2], slices);
  for (std::int64_t r = 0; r < rows(); ++r)
    list_row(r, static_cast<std::int32_t>(r * pitch()), slicer);
  list_offsets(offsets);
  return {slices, slicer.used(), offsets, floats};
}

const float* Phases::lay_out(const kernels::ConvolveKernels& kernels, const Layout& layout,
                             const float* planes, std::int64_t count, float outside) const {
  if (in_place_) return planes;
  kernels.im2col(layout.slices, layout.used, planes, volume(w_.in), count, w_.stride[2], outside,
                 layout.to, plane_floats());
  return layout.to;
}

kernels::WindowRows Phases::rows_of(const Layout& layout) const {
  return {layout.offsets, volume(w_.kernel), w_.out[1], w_.out[2], w_.stride[1] * pitch()};
}

}  // namespace thimble::runtime

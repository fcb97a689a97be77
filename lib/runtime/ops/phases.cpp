#include "runtime/ops/phases.h"

#include <algorithm>

#include "support/checked.h"

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

std::size_t Phases::plane_bytes() const {
  const auto floats = static_cast<std::size_t>(rows() * pitch() + kernels::kCopySlack);
  return round_up<std::size_t>(floats * sizeof(float), 64);
}

std::size_t Phases::bytes() const {
  if (in_place_) return 0;
  // Each phase of a row has elements in the image and some outside on either side.
  const auto copies = static_cast<std::size_t>(rows() * w_.stride[2] * 3);
  return plane_bytes() + round_up<std::size_t>(copies * sizeof(kernels::Copy), 64);
}

kernels::Copy* Phases::list_row(std::int64_t r, std::int32_t to, kernels::Copy* out) const {
  const auto put = [&](std::int64_t from, std::int64_t count) {
    if (count == 0) return;
    *out++ = {from, to, static_cast<std::int32_t>(count)};
    to += static_cast<std::int32_t>(count);
  };
  const std::int64_t row = r - w_.begin[1];
  if (row < 0 || row >= w_.in[1]) {
    put(-1, pitch());
    return out;
  }
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
  return out;
}

Phases::Layout Phases::layout_in(std::byte* memory) const {
  if (in_place_) return {};
  auto* const copies = reinterpret_cast<kernels::Copy*>(memory + plane_bytes());
  kernels::Copy* end = copies;
  for (std::int64_t r = 0; r < rows(); ++r)
    end = list_row(r, static_cast<std::int32_t>(r * pitch()), end);
  return {copies, end - copies, reinterpret_cast<float*>(memory)};
}

const float* Phases::lay_out(const kernels::ConvolveKernels& kernels, const Layout& layout,
                             const float* plane, float outside) const {
  if (in_place_) return plane;
  kernels.copy(layout.copies, layout.used, plane, w_.stride[2], outside, layout.to);
  return layout.to;
}

void Phases::taps(const float* laid_out, const float** out) const {
  for (std::int64_t r = 0; r < w_.kernel[1]; ++r) {
    const float* line = laid_out + r * w_.dilation[1] * pitch();
    for (std::int64_t c = 0; c < w_.kernel[2]; ++c) {
      const std::int64_t column = c * w_.dilation[2];
      *out++ =
          line + (in_place_ ? column : column % w_.stride[2] * phase() + column / w_.stride[2]);
    }
  }
}

}  // namespace thimble::runtime

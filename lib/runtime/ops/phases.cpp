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
  return floats && *floats <= kMost && volume(w.kernel) <= 1 << 16;
}

std::size_t Phases::bytes() const {
  if (in_place_) return 0;
  return round_up<std::size_t>(static_cast<std::size_t>(rows() * pitch()) * sizeof(float), 64);
}

const float* Phases::lay_out(const float* plane, float outside, float* memory) const {
  if (in_place_) return plane;
  const std::int64_t stride = w_.stride[2], width = phase();
  for (std::int64_t r = 0; r < rows(); ++r) {
    float* to = memory + r * pitch();
    const std::int64_t row = r - w_.begin[1];
    if (row < 0 || row >= w_.in[1]) {
      std::fill_n(to, pitch(), outside);
      continue;
    }
    const float* from = plane + row * w_.in[2];
    for (std::int64_t p = 0; p < stride; ++p, to += width) {
      // Element i of a phase is column i * stride + p - begin.
      const std::int64_t start = p - w_.begin[2];
      const std::int64_t first = std::min(start < 0 ? (-start + stride - 1) / stride : 0, width);
      const std::int64_t last =
          std::clamp(w_.in[2] > start ? (w_.in[2] - start + stride - 1) / stride : 0, first, width);
      std::fill(to, to + first, outside);
      if (stride == 1) {
        std::copy(from + start + first, from + start + last, to + first);
      } else if (stride == 2) {
        for (std::int64_t i = first; i < last; ++i) to[i] = from[start + 2 * i];
      } else {
        for (std::int64_t i = first; i < last; ++i) to[i] = from[start + stride * i];
      }
      std::fill(to + last, to + width, outside);
    }
  }
  return memory;
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

#pragma once
// A plane laid out so that what one tap of a sliding window sees along a row of the result is a run
// of elements: rows with their padding, each cut into the phases of its stride. Where nothing would
// move the plane is used as it lies.

#include "runtime/ops/images.h"

namespace thimble::runtime {

class Phases {
 public:
  // Windows over one plane of two axes at most (w.in[0], w.kernel[0] and w.out[0] are 1).
  explicit Phases(const Windows& w);

  static bool fits(const Windows& w);  // two axes, and a size that memory may be asked for
  bool in_place() const { return in_place_; }
  // Of a laid-out plane and of the copies that lay it out; a multiple of 64, 0 in place.
  std::size_t bytes() const;

  // The copies are the same for every plane: listed once in a thread's `memory`, of bytes().
  struct Layout {
    const kernels::Copy* copies;
    std::int64_t used;
    float* to;
  };
  Layout layout_in(std::byte* memory) const;
  // Lays `plane` out, elements outside being `outside`; what `taps` takes.
  const float* lay_out(const kernels::ConvolveKernels& kernels, const Layout& layout,
                       const float* plane, float outside) const;
  // Where each tap starts for the result's first row: w.kernel[1] * w.kernel[2] pointers.
  void taps(const float* laid_out, const float** out) const;
  // Moves them to the next row.
  void next_row(const float** taps) const {
    const std::int64_t step = w_.stride[1] * pitch(), count = w_.kernel[1] * w_.kernel[2];
    for (std::int64_t t = 0; t < count; ++t) taps[t] += step;
  }

 private:
  std::int64_t rows() const { return (w_.out[1] - 1) * w_.stride[1] + w_.extent(1); }
  std::int64_t phase() const { return w_.out[2] + (w_.extent(2) - 1) / w_.stride[2]; }
  std::int64_t pitch() const { return in_place_ ? w_.in[2] : phase() * w_.stride[2]; }
  std::size_t plane_bytes() const;  // with what `copy` may write behind it
  // A row of the laid-out plane, which starts at its element `to`.
  kernels::Copy* list_row(std::int64_t r, std::int32_t to, kernels::Copy* out) const;

  Windows w_;
  bool in_place_;
};

}  // namespace thimble::runtime

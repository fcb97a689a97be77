#pragma once
// A plane laid out so that what one tap of a sliding window sees along a row of the result is a run
// of elements: rows with their padding, each cut into the phases of its stride. Where nothing would
// move the plane is used as it lies.

#include "runtime/ops/window_copies.h"
#include "support/checked.h"

namespace thimble::runtime {

class Phases {
 public:
  // Windows over one plane of two axes at most (w.in[0], w.kernel[0] and w.out[0] are 1).
  explicit Phases(const Windows& w);

  static bool fits(const Windows& w);  // two axes, and a size that memory may be asked for
  bool in_place() const { return in_place_; }
  // What one thread needs; a multiple of 64.
  std::size_t bytes() const;

  // The same for all planes: listed once in a thread's `memory`, of bytes().
  struct Layout {
    const kernels::Slice* slices;
    std::int64_t used;
    const std::int64_t* offsets;  // of each tap in a laid-out plane, for the result's first row
    float* to;
  };
  Layout layout_in(std::byte* memory) const;

  // So many planes are laid out together at most.
  std::int64_t together() const;
  // Lays `count` planes out, elements outside being `outside`; they are plane_step() apart.
  const float* lay_out(const kernels::ConvolveKernels& kernels, const Layout& layout,
                       const float* planes, std::int64_t count, float outside) const;
  std::int64_t plane_step() const { return in_place_ ? volume(w_.in) : plane_floats(); }
  // The windows over a plane that was laid out.
  kernels::WindowRows rows_of(const Layout& layout) const;

 private:
  std::int64_t rows() const { return (w_.out[1] - 1) * w_.stride[1] + w_.extent(1); }
  // Whole vectors, unless they would be mostly empty.
  std::int64_t phase() const {
    const std::int64_t used = w_.out[2] + (w_.extent(2) - 1) / w_.stride[2];
    return used > 8 ? round_up<std::int64_t>(used, 16) : used;
  }
  std::int64_t pitch() const { return in_place_ ? w_.in[2] : phase() * w_.stride[2]; }
  std::int64_t plane_floats() const { return round_up<std::int64_t>(rows() * pitch(), 16); }
  std::int64_t most_slices() const;
  void list_offsets(std::int64_t* out) const;
  // A row of the laid-out plane, which starts at its element `to`.
  void list_row(std::int64_t r, std::int32_t to, Slicer& out) const;

  Windows w_;
  bool in_place_;
};

}  // namespace thimble::runtime

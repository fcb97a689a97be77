#pragma once
// Windows of an image of codes, channels last, as rows of bytes for the kernels' products: places
// of the kernel outside, channels of a group inside.

#include "kernels/coded.h"
#include "runtime/ops/convolve.h"

namespace thimble::runtime {

class WindowBytes {
 public:
  // `outside`: the code that windows read beside the image.
  WindowBytes(const Convolution& c, std::int32_t outside) : c_(c), outside_(outside) {}

  // Does a window see one place, in order, as whole steps of the weight? Then the image is the
  // rows.
  bool in_place() const {
    const Windows& w = c_.windows;
    return volume(w.kernel) == 1 && volume(w.stride) == 1 && w.in == w.out &&
           c_.group_channels() % kernels::kCodedStep == 0;
  }
  std::int64_t inputs() const { return c_.group_channels() * volume(c_.windows.kernel); }
  std::int64_t row_bytes() const { return kernels::coded_row_bytes(inputs()); }

  // Rows of places [first, first + count). `x`: the group's first channel of one picture.
  void fill(const std::uint8_t* x, std::int64_t first, std::int64_t count,
            std::uint8_t* rows) const;

 private:
  void fill_window(const std::uint8_t* x, const Space& start, std::uint8_t* to) const;
  std::uint8_t* fill_outside(std::int64_t bytes, std::uint8_t* to) const;
  std::uint8_t* fill_line(const std::uint8_t* line, const Taps& taps, std::uint8_t* to) const;

  Convolution c_;
  std::int32_t outside_;
};

}  // namespace thimble::runtime

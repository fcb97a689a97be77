#pragma once
// A convolution's sizes, and the plain loops for element types that have no kernel.

#include <algorithm>

#include "runtime/ops/images.h"

namespace thimble::runtime {

struct Convolution {
  Windows windows;
  std::int64_t batch = 0, channels = 0, outputs = 0, group = 1;

  std::int64_t group_channels() const { return channels / group; }
  std::int64_t group_outputs() const { return outputs / group; }
};
// Of x [batch, channels, spatial...] and weight [outputs, channels / group, kernel...].
Expected<Convolution> convolution_of(const Call& call, const Dims& x, const Dims& weight);

// Of a convolution's inputs (x, weight, [bias]): x, weight and result are real and of one type; the
// bias is one of x's type for so many outputs.
Status check_types(const Call& call);
Status check_bias(const Call& call, std::int64_t outputs);

// The positions [first, last) of `count` whose window's tap at `offset` (relative to the image's
// start) is in [0, size).
struct Positions {
  std::int64_t first, last;
};
inline Positions positions_of(std::int64_t offset, std::int64_t stride, std::int64_t count,
                              std::int64_t size) {
  Positions p{0, 0};
  if (offset < 0) p.first = (-offset + stride - 1) / stride;
  if (size > offset + (count - 1) * stride) {
    p.last = count;  // the common case, without a division
  } else if (size > offset) {
    p.last = std::min(count, (size - offset + stride - 1) / stride);
  }
  p.last = std::max(p.first, p.last);
  return p;
}

// Calls f(kernel index, image offset, result offset, columns) for every tap and every row of the
// result that it reaches; image elements of a row are `stride[2]` apart. Taps in order.
template <class F>
void each_row(const Windows& w, F f) {
  std::int64_t tap = 0;
  for (std::int64_t a = 0; a < w.kernel[0]; ++a) {
    const std::int64_t depth = a * w.dilation[0] - w.begin[0];
    const Positions deep = positions_of(depth, w.stride[0], w.out[0], w.in[0]);
    for (std::int64_t b = 0; b < w.kernel[1]; ++b) {
      const std::int64_t row = b * w.dilation[1] - w.begin[1];
      const Positions rows = positions_of(row, w.stride[1], w.out[1], w.in[1]);
      for (std::int64_t c = 0; c < w.kernel[2]; ++c, ++tap) {
        const std::int64_t column = c * w.dilation[2] - w.begin[2];
        const Positions columns = positions_of(column, w.stride[2], w.out[2], w.in[2]);
        if (columns.first == columns.last) continue;
        for (std::int64_t d = deep.first; d < deep.last; ++d) {
          for (std::int64_t r = rows.first; r < rows.last; ++r) {
            const std::int64_t at =
                ((d * w.stride[0] + depth) * w.in[1] + r * w.stride[1] + row) * w.in[2] + column +
                columns.first * w.stride[2];
            f(tap, at, (d * w.out[1] + r) * w.out[2] + columns.first, columns.last - columns.first);
          }
        }
      }
    }
  }
}

// Places of a row of the result, in order: `before` and `after` have the tap outside of the image,
// those `inside` have it at elements at, at + stride[2], ... of the plane.
struct RowPiece {
  std::int64_t before, inside, after, at;
};

// Calls f(piece) for places [begin, begin + count), as one tap of their windows sees the image.
template <class F>
void each_piece(const Windows& w, const Space& tap, std::int64_t begin, std::int64_t count, F f) {
  const std::int64_t offset = tap[2] * w.dilation[2] - w.begin[2];
  const Positions inside = positions_of(offset, w.stride[2], w.out[2], w.in[2]);
  for (std::int64_t place = begin; place < begin + count;) {
    const std::int64_t column = place % w.out[2], row = place / w.out[2];
    const std::int64_t end = column + std::min(w.out[2] - column, begin + count - place);
    const std::int64_t d = row / w.out[1] * w.stride[0] + tap[0] * w.dilation[0] - w.begin[0];
    const std::int64_t r = row % w.out[1] * w.stride[1] + tap[1] * w.dilation[1] - w.begin[1];
    const bool there = d >= 0 && d < w.in[0] && r >= 0 && r < w.in[1];
    const std::int64_t first = there ? std::clamp(inside.first, column, end) : end;
    const std::int64_t last = there ? std::clamp(inside.last, first, end) : end;
    const std::int64_t at = (d * w.in[1] + r) * w.in[2] + offset + first * w.stride[2];
    f(RowPiece{first - column, last - first, end - last, first < last ? at : 0});
    place += end - column;
  }
}

// Calls f(tap) for every tap of a window, in order.
template <class F>
void each_tap(const Space& kernel, F f) {
  for (std::int64_t d = 0; d < kernel[0]; ++d) {
    for (std::int64_t r = 0; r < kernel[1]; ++r) {
      for (std::int64_t c = 0; c < kernel[2]; ++c) f(Space{d, r, c});
    }
  }
}

}  // namespace thimble::runtime

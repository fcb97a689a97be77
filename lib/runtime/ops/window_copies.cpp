#include "runtime/ops/window_copies.h"

namespace thimble::runtime {
namespace {

constexpr std::int64_t kMostPlaces = 64;

struct Segment {  // places of one row of the result
  std::int64_t depth, row, column, count, at;
};

std::int64_t segments_of(const Windows& w, std::int64_t begin, std::int64_t count, Segment* out) {
  std::int64_t used = 0;
  for (std::int64_t at = 0; at < count; ++used) {
    const std::int64_t column = (begin + at) % w.out[2], row = (begin + at) / w.out[2];
    out[used] = {row / w.out[1] * w.stride[0] - w.begin[0],
                 row % w.out[1] * w.stride[1] - w.begin[1], column,
                 std::min(w.out[2] - column, count - at), at};
    at += out[used].count;
  }
  return used;
}

Copy* list_tap(const Windows& w, const Segment& s, const Space& tap, std::int64_t to, Copy* out) {
  const std::int64_t depth = s.depth + tap[0] * w.dilation[0];
  const std::int64_t row = s.row + tap[1] * w.dilation[1];
  const std::int64_t offset = tap[2] * w.dilation[2] - w.begin[2];
  const bool there = depth >= 0 && depth < w.in[0] && row >= 0 && row < w.in[1];
  const Positions inside = positions_of(offset, w.stride[2], w.out[2], w.in[2]);
  const std::int64_t end = s.column + s.count;
  const std::int64_t first = there ? std::clamp(inside.first, s.column, end) : end;
  const std::int64_t last = there ? std::clamp(inside.last, first, end) : end;
  const auto put = [&](std::int64_t from, std::int64_t column, std::int64_t column_end) {
    if (column == column_end) return;
    *out++ = {from, static_cast<std::int32_t>(to + s.at + column - s.column),
              static_cast<std::int32_t>(column_end - column)};
  };
  put(-1, s.column, first);
  put((depth * w.in[1] + row) * w.in[2] + offset + first * w.stride[2], first, last);
  put(-1, last, end);
  return out;
}

}  // namespace

Windows flattened(const Windows& w) {
  if (volume(w.kernel) != 1 || volume(w.stride) != 1 || w.in != w.out) return w;
  Windows flat = w;
  flat.in = flat.out = {1, 1, volume(w.in)};
  return flat;
}

// Each row of the result that a run touches gives three at most.
std::int64_t most_copies(const Windows& w, std::int64_t places) {
  return 3 * std::min(places, places / w.out[2] + 2) * volume(w.kernel);
}

std::int64_t list_copies(const Windows& w, std::int64_t begin, std::int64_t count,
                         std::int64_t pitch, Copy* out) {
  Segment segments[kMostPlaces];
  const std::int64_t rows = segments_of(w, begin, count, segments);
  const Copy* const first = out;
  std::int64_t to = 0;
  for (std::int64_t a = 0; a < w.kernel[0]; ++a) {
    for (std::int64_t b = 0; b < w.kernel[1]; ++b) {
      for (std::int64_t c = 0; c < w.kernel[2]; ++c, to += pitch) {
        for (std::int64_t s = 0; s < rows; ++s)
          out = list_tap(w, segments[s], Space{a, b, c}, to, out);
      }
    }
  }
  return out - first;
}

}  // namespace thimble::runtime

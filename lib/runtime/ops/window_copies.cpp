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

template <class F>
void each_tap(const Windows& w, F f) {
  for (std::int64_t a = 0; a < w.kernel[0]; ++a) {
    for (std::int64_t b = 0; b < w.kernel[1]; ++b) {
      for (std::int64_t c = 0; c < w.kernel[2]; ++c) f(Space{a, b, c});
    }
  }
}

}  // namespace

void Slicer::put(const Copy& copy) {
  for (std::int32_t done = 0; done < copy.count;) {
    const std::int32_t lane = (copy.to + done) % 16, count = std::min(16 - lane, copy.count - done);
    const std::int32_t vector = copy.to + done - lane;
    if (copy.from < 0) {
      clear(vector);
    } else {
      add(vector, copy.from + (done - lane) * stride_, lane, count);
    }
    done += count;
  }
}

// A vector's first slice clears the lanes that come from nowhere.
void Slicer::clear(std::int32_t vector) {
  if (!begun(vector)) *end_++ = {0, vector, 0, 0};
}

void Slicer::add(std::int32_t vector, std::int64_t from, std::int32_t lane, std::int32_t count) {
  const auto lanes = [](std::int32_t first, std::int32_t n) {
    return static_cast<std::uint16_t>(((1u << n) - 1u) << first);
  };
  if (begun(vector) && end_[-1].lanes == 0) --end_;
  const std::uint16_t kept = begun(vector) ? lanes(0, lane) : std::uint16_t{0};
  *end_++ = {from, vector, kept, lanes(lane, count)};
}

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
  each_tap(w, [&](const Space& tap) {
    for (std::int64_t s = 0; s < rows; ++s) out = list_tap(w, segments[s], tap, to, out);
    to += pitch;
  });
  return out - first;
}

// Each row of the result that a piece touches gives one, the two vectors' border another, and each
// vector may be cleared.
std::int64_t most_slices(const Windows& w) {
  constexpr std::int64_t kPlaces = kernels::kPiecePlaces;
  return (std::min(kPlaces, kPlaces / w.out[2] + 2) + 3) * volume(w.kernel);
}

std::int64_t list_slices(const Windows& w, std::int64_t begin, std::int64_t count, std::int64_t to,
                         Slice* out) {
  Segment segments[kMostPlaces];
  const std::int64_t rows = segments_of(w, begin, count, segments);
  Slicer slicer(w.stride[2], out);
  each_tap(w, [&](const Space& tap) {
    for (std::int64_t s = 0; s < rows; ++s) {
      Copy copies[3];
      const Copy* const end = list_tap(w, segments[s], tap, to, copies);
      for (const Copy* copy = copies; copy < end; ++copy) slicer.put(*copy);
    }
    to += kernels::kPiecePlaces;
  });
  return slicer.used();
}

}  // namespace thimble::runtime

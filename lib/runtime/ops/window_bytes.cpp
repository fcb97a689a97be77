#include "runtime/ops/window_bytes.h"

#include <cstring>

namespace thimble::runtime {
namespace {

// Few bytes in most cases: without a call, the last ones together with some before them.
inline std::uint8_t* copy_bytes(const std::uint8_t* from, std::int64_t count, std::uint8_t* to) {
  std::uint8_t* const end = to + count;
  const std::uint8_t* const from_end = from + count;
  if (count >= 16) {
    for (; end - to > 16; from += 16, to += 16) std::memcpy(to, from, 16);
    std::memcpy(end - 16, from_end - 16, 16);
  } else if (count >= 8) {
    std::memcpy(to, from, 8);
    std::memcpy(end - 8, from_end - 8, 8);
  } else {
    while (to < end) *to++ = *from++;
  }
  return end;
}

bool lies_inside(const Windows& w, const Space& start) {
  for (std::size_t d = 0; d < 3; ++d) {
    if (start[d] < 0 || start[d] + w.extent(d) > w.in[d]) return false;
  }
  return true;
}

}  // namespace

WindowBytes::Rows WindowBytes::rows(const std::uint8_t* x, const WindowRun& run,
                                    std::uint8_t* memory) const {
  if (in_place()) return {x + run.first * c_.channels, c_.channels};
  fill(x, run.first, run.count, memory);
  return {memory, row_bytes()};
}

// Places in order, so that only the first is divided into coordinates.
void WindowBytes::fill(const std::uint8_t* x, std::int64_t first, std::int64_t count,
                       std::uint8_t* rows) const {
  const Windows& w = c_.windows;
  const std::int64_t bytes = row_bytes();
  const bool whole_lines = w.dilation[2] == 1 && c_.group == 1;
  Space at = w.place(first);
  for (std::int64_t i = 0; i < count; ++i) {
    std::uint8_t* row = rows + i * bytes;
    std::memset(row + bytes - kernels::kCodedStep, 0, kernels::kCodedStep);
    const Space start = w.start_at(at);
    if (whole_lines && lies_inside(w, start)) {
      fill_inside(x, start, row);
    } else {
      fill_window(x, start, row);
    }
    if (++at[2] < w.out[2]) continue;
    at[2] = 0;
    if (++at[1] < w.out[1]) continue;
    at[1] = 0;
    ++at[0];
  }
}

// A window of the image alone, whose lines are one piece each: most are such, and where lines are
// short, asking after each one's edges would take longer than copying it.
void WindowBytes::fill_inside(const std::uint8_t* x, const Space& start, std::uint8_t* to) const {
  const Windows& w = c_.windows;
  const std::int64_t row = w.in[2] * c_.channels, line = w.kernel[2] * c_.channels;
  const std::uint8_t* plane =
      x + start[0] * w.in[1] * row + start[1] * row + start[2] * c_.channels;
  for (std::int64_t a = 0; a < w.kernel[0]; ++a, plane += w.dilation[0] * w.in[1] * row) {
    const std::uint8_t* from = plane;
    for (std::int64_t b = 0; b < w.kernel[1]; ++b, from += w.dilation[1] * row)
      to = copy_bytes(from, line, to);
  }
}

void WindowBytes::fill_window(const std::uint8_t* x, const Space& start, std::uint8_t* to) const {
  const Windows& w = c_.windows;
  const std::int64_t channels = c_.group_channels();
  const Taps columns = taps_inside(start[2], w.kernel[2], w.dilation[2], w.in[2]);
  for (std::int64_t a = 0; a < w.kernel[0]; ++a) {
    const std::int64_t depth = start[0] + a * w.dilation[0];
    for (std::int64_t b = 0; b < w.kernel[1]; ++b) {
      const std::int64_t row = start[1] + b * w.dilation[1];
      const bool there = depth >= 0 && depth < w.in[0] && row >= 0 && row < w.in[1];
      const Taps inside = there ? columns : Taps{0, 0};
      to = fill_outside(inside.first * channels, to);
      to = fill_line(x + ((depth * w.in[1] + row) * w.in[2] + start[2]) * c_.channels, inside, to);
      to = fill_outside((w.kernel[2] - inside.last) * channels, to);
    }
  }
}

std::uint8_t* WindowBytes::fill_outside(std::int64_t bytes, std::uint8_t* to) const {
  if (bytes > 0) std::memset(to, outside_, static_cast<std::size_t>(bytes));
  return to + bytes;
}

// Taps of a line, of which `line` is where the window's first column would be.
std::uint8_t* WindowBytes::fill_line(const std::uint8_t* line, const Taps& taps,
                                     std::uint8_t* to) const {
  const std::int64_t channels = c_.group_channels(), step = c_.windows.dilation[2] * c_.channels;
  if (taps.first == taps.last) return to;
  if (step == channels)
    return copy_bytes(line + taps.first * step, (taps.last - taps.first) * channels, to);
  for (std::int64_t k = taps.first; k < taps.last; ++k)
    to = copy_bytes(line + k * step, channels, to);
  return to;
}

}  // namespace thimble::runtime

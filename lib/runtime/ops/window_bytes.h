#pragma once
// Windows of an image of codes, channels last, as rows of bytes for the kernels' products: places
// of the kernel outside, channels of a group inside.

#include "kernels/coded.h"
#include "runtime/ops/coded.h"
#include "runtime/ops/convolve.h"

namespace thimble::runtime {

inline constexpr std::int64_t kRunPlaces = 64;

// Some places of one group of one image, at most kRunPlaces, and some of the group's outputs.
struct WindowRun {
  std::int64_t image, group;
  std::int64_t first, count;  // places
  std::int64_t begin, end;    // outputs; they begin with a tile of the weight
};

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

  struct Rows {
    const std::uint8_t* data;
    std::int64_t stride;
  };
  // The run's windows. `x`: the first channel of its group in its image; `memory`: bytes() of it.
  Rows rows(const std::uint8_t* x, const WindowRun& run, std::uint8_t* memory) const;
  std::size_t bytes() const {
    return in_place() ? 0 : static_cast<std::size_t>(kRunPlaces * row_bytes());
  }
  // Where the run's outputs begin in a weight of such windows.
  const std::int8_t* tiles(const std::int8_t* weight, const WindowRun& run) const {
    const std::int64_t of_group = ceil_div<std::int64_t>(c_.group_outputs(), kernels::kCodedRows);
    const std::int64_t tile = run.group * of_group + run.begin / kernels::kCodedRows;
    return weight + tile * kernels::coded_tile_bytes(inputs());
  }
  // Calls f(run, memory) until every output of every place has had its turn.
  template <class F>
  void over_runs(Machine& machine, ScratchParts& scratch, F f) const {
    const std::int64_t places = volume(c_.windows.out), runs = ceil_div(places, kRunPlaces);
    const TileParts parts(c_.batch * c_.group * runs, c_.group_outputs(), machine.pool.threads());
    const std::int64_t cost = kRunPlaces * row_bytes() * c_.group_outputs() / parts.parts;
    over_each(machine, scratch, parts.units(), cost, [&](std::int64_t unit, std::byte* memory) {
      const std::int64_t job = parts.job(unit), first = job % runs * kRunPlaces;
      f(WindowRun{job / runs / c_.group, job / runs % c_.group, first,
                  std::min(kRunPlaces, places - first), parts.begin(unit), parts.end(unit)},
        memory);
    });
  }

 private:
  void fill(const std::uint8_t* x, std::int64_t first, std::int64_t count,
            std::uint8_t* rows) const;
  void fill_inside(const std::uint8_t* x, const Space& start, std::uint8_t* to) const;
  void fill_window(const std::uint8_t* x, const Space& start, std::uint8_t* to) const;
  std::uint8_t* fill_outside(std::int64_t bytes, std::uint8_t* to) const;
  std::uint8_t* fill_line(const std::uint8_t* line, const Taps& taps, std::uint8_t* to) const;

  Convolution c_;
  std::int32_t outside_;
};

}  // namespace thimble::runtime

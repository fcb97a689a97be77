#pragma once
// What the operators on codes share: images [batch, spatial..., channels] of u8.

#include <algorithm>

#include "runtime/ops/images.h"
#include "support/checked.h"

namespace thimble::runtime {

// Where the spatial axes stand before the channels and after them.
Dims channels_first(const Dims& dims);
Dims channels_last(const Dims& dims);
// `value` is an image of codes.
Status check_codes(const Value& value);

// Ints `x_zero`, `zero`, `low`, `high` of an instruction, each a code.
struct CodeRange {
  std::int32_t x_zero = 0, zero = 0, low = 0, high = 255;
};
Expected<CodeRange> code_range_of(const Call& call);

// The bytes that each tap of a window reads: `outside` where it lies outside the image. `image`:
// [spatial..., channels] of one picture; a pointer for each tap of the kernel.
void list_taps(const Windows& w, const std::uint8_t* image, std::int64_t channels,
               const Space& start, const std::uint8_t* outside, const std::uint8_t** taps);

// Jobs as units to be shared out: each job whole, or cut into parts of its outputs' tiles where the
// jobs are too few for the threads.
struct TileParts {
  std::int64_t jobs, outputs, tiles, parts;

  TileParts(std::int64_t jobs_, std::int64_t outputs_, std::int64_t threads)
      : jobs(jobs_),
        outputs(outputs_),
        tiles(ceil_div<std::int64_t>(outputs, kernels::kCodedRows)),
        parts(threads == 1 ? 1
                           : std::clamp<std::int64_t>(4 * threads / std::max<std::int64_t>(jobs, 1),
                                                      1, tiles)) {}
  std::int64_t units() const { return jobs * parts; }
  std::int64_t job(std::int64_t unit) const { return unit / parts; }
  // Outputs [begin, end) of the unit.
  std::int64_t begin(std::int64_t unit) const {
    return tiles * (unit % parts) / parts * kernels::kCodedRows;
  }
  std::int64_t end(std::int64_t unit) const {
    return std::min(tiles * (unit % parts + 1) / parts * kernels::kCodedRows, outputs);
  }
};

}  // namespace thimble::runtime

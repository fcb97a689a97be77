#pragma once
// What windows see at a run of places, as copies of rows of planes: the same for every channel.

#include <algorithm>
#include <cstring>

#include "runtime/ops/convolve.h"

namespace thimble::runtime {

using kernels::Copy;

// The same windows with fewer axes, where they see single elements and leave none out.
Windows flattened(const Windows& w);

// Copies that `places` (at most 64) places of the result need at most.
std::int64_t most_copies(const Windows& w, std::int64_t places);

// Lists them for places [begin, begin + count): tap t of place p goes to element t * pitch + p.
// Taps in order; how many there are.
std::int64_t list_copies(const Windows& w, std::int64_t begin, std::int64_t count,
                         std::int64_t pitch, Copy* out);

template <class T>
void run_copies(const Copy* copies, std::int64_t used, const T* plane, std::int64_t stride,
                T outside, T* to) {
  constexpr std::int32_t kStep = 16 / sizeof(T);
  for (std::int64_t n = 0; n < used; ++n) {
    const Copy& c = copies[n];
    T* out = to + c.to;
    if (c.from < 0) {
      std::fill_n(out, c.count, outside);
      continue;
    }
    const T* from = plane + c.from;
    std::int32_t i = 0;
    if (stride == 1) {
      for (; i + kStep <= c.count; i += kStep) std::memcpy(out + i, from + i, 16);
      for (; i < c.count; ++i) out[i] = from[i];
    } else {
      for (; i < c.count; ++i) out[i] = from[i * stride];
    }
  }
}

}  // namespace thimble::runtime

#pragma once
// What windows see at a run of places, as copies of rows of planes: the same for every channel.

#include <algorithm>
#include <cstring>

#include "runtime/ops/convolve.h"

namespace thimble::runtime {

using kernels::Slice;

// `count` elements of a row: of a plane from `from` on, or outside of it where that is negative.
struct Copy {
  std::int64_t from;
  std::int32_t to, count;
};

// The same windows with fewer axes, where they see single elements and leave none out.
Windows flattened(const Windows& w);

// Copies that `places` (at most 64) places of the result need at most.
std::int64_t most_copies(const Windows& w, std::int64_t places);

// Lists them for places [begin, begin + count): tap t of place p goes to element t * pitch + p.
// Taps in order; how many there are.
std::int64_t list_copies(const Windows& w, std::int64_t begin, std::int64_t count,
                         std::int64_t pitch, Copy* out);

// Cuts copies of planes whose elements are `stride` apart into slices; copies come in order of
// `to`.
class Slicer {
 public:
  Slicer(std::int64_t stride, Slice* out) : stride_(stride), first_(out), end_(out) {}

  void put(const Copy& copy);
  std::int64_t used() const { return end_ - first_; }

 private:
  bool begun(std::int32_t vector) const { return end_ != first_ && end_[-1].to == vector; }
  void clear(std::int32_t vector);
  void add(std::int32_t vector, std::int64_t from, std::int32_t lane, std::int32_t count);

  std::int64_t stride_;
  Slice *first_, *end_;
};

// The same for a piece of kPiecePlaces places at most, whose first element is `to`: in vectors of
// sixteen, those of places that don't count being 0.
std::int64_t most_slices(const Windows& w);
std::int64_t list_slices(const Windows& w, std::int64_t begin, std::int64_t count, std::int64_t to,
                         Slice* out);

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

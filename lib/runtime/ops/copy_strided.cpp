// Transposes, slices and broadcasts: elements in the result's order, from wherever they lie.

#include <algorithm>
#include <cstring>

#include "runtime/ops/operands.h"
#include "support/checked.h"

namespace thimble::runtime {
namespace {

// An axis of the result, and how far apart its elements lie there and in x.
struct Axis {
  std::int64_t size, from, to;
};

// The axes longer than 1, neighbours that lie alike on both sides being one; the outermost first.
std::vector<Axis> joined_axes(const Dims& dims, const Dims& strides) {
  const Dims own = strides_of(dims);
  std::vector<Axis> axes;
  for (std::size_t d = 0; d < dims.size(); ++d) {
    if (dims[d] == 1) continue;
    if (!axes.empty() && axes.back().from == strides[d] * dims[d]) {
      axes.back() = {axes.back().size * dims[d], strides[d], own[d]};
    } else {
      axes.push_back({dims[d], strides[d], own[d]});
    }
  }
  return axes;
}

// Planes [rows, columns] of the result that are copied as one, and the axes outside of them. Where
// the last axis jumps in x, the rows are that axis whose elements lie side by side there: what a
// block of rows and columns touches then stays in the first-level cache.
struct Planes {
  std::vector<Axis> outer;
  Axis rows{1, 0, 0}, columns{1, 1, 1};

  explicit Planes(std::vector<Axis> axes) : outer(std::move(axes)) {
    if (outer.empty()) return;
    columns = outer.back();
    outer.pop_back();
    if (outer.empty()) return;
    const auto beside =
        std::find_if(outer.begin(), outer.end(), [](const Axis& axis) { return axis.from == 1; });
    const auto at = columns.from == 1 || beside == outer.end() ? outer.end() - 1 : beside;
    rows = *at;
    outer.erase(at);
  }
  std::int64_t count() const {
    std::int64_t planes = 1;
    for (const Axis& axis : outer) planes *= axis.size;
    return planes;
  }
};

constexpr std::int64_t kBlock = 16;

template <class T>
void copy_block(const T* from, T* to, const Axis& rows, const Axis& columns, std::int64_t high,
                std::int64_t wide) {
  for (std::int64_t r = 0; r < high; ++r, from += rows.from, to += rows.to) {
    for (std::int64_t c = 0; c < wide; ++c) to[c] = from[c * columns.from];
  }
}

// Rows [begin, end) of a plane, at most kBlock.
template <class T>
void copy_rows(const T* from, T* to, const Axis& rows, const Axis& columns, std::int64_t begin,
               std::int64_t end) {
  from += begin * rows.from;
  to += begin * rows.to;
  if (columns.from == 1) {
    for (std::int64_t r = begin; r < end; ++r, from += rows.from, to += rows.to)
      std::memcpy(to, from, static_cast<std::size_t>(columns.size) * sizeof(T));
    return;
  }
  for (std::int64_t c = 0; c < columns.size; c += kBlock) {
    const std::int64_t wide = std::min(kBlock, columns.size - c);
    // Of a known width, so that the compiler unrolls it.
    if (wide == kBlock) {
      copy_block(from + c * columns.from, to + c, rows, columns, end - begin, kBlock);
    } else {
      copy_block(from + c * columns.from, to + c, rows, columns, end - begin, wide);
    }
  }
}

template <class T>
void copy_planes(Machine& machine, const T* x, T* y, const Planes& planes) {
  const std::int64_t blocks = ceil_div(planes.rows.size, kBlock);
  const auto one = [&](std::int64_t unit) {
    const T* from = x;
    T* to = y;
    std::int64_t rest = unit / blocks;
    for (std::size_t d = planes.outer.size(); d-- > 0;) {
      const Axis& axis = planes.outer[d];
      from += rest % axis.size * axis.from;
      to += rest % axis.size * axis.to;
      rest /= axis.size;
    }
    const std::int64_t begin = unit % blocks * kBlock;
    copy_rows(from, to, planes.rows, planes.columns, begin,
              std::min(begin + kBlock, planes.rows.size));
  };
  over_each(machine, planes.count() * blocks, kBlock * planes.columns.size, one);
}

}  // namespace

void copy_strided(Machine& machine, const Value& x, const Dims& strides, std::int64_t start,
                  Value& y) {
  if (y.count() == 0) return;
  const Planes planes(joined_axes(y.dims, strides));
  const auto copy = [&]<class T>(T) {
    copy_planes(machine, static_cast<const T*>(x.data) + start, static_cast<T*>(y.data), planes);
  };
  switch (element_bytes(y)) {
    case 1:
      return copy(std::uint8_t{});
    case 2:
      return copy(std::uint16_t{});
    case 4:
      return copy(std::uint32_t{});
    default:
      return copy(std::uint64_t{});
  }
}

}  // namespace thimble::runtime

#include <algorithm>
#include <limits>

#include "ir/ops/shape_context.h"
#include "ir/ops/shape_functions.h"

namespace thimble::ir::shapes {
namespace {

Dim min(const Dim& a, const Dim& b) { return a + b - Dim::max(a, b); }

struct Cut {
  Dim begin;
  Dim length;
};

// A bound of a Slice, clamped to [0, size] as ONNX says. `is_end` with a huge number means "to the
// end".
Dim clamp_bound(const Dim& bound, const Dim& size) {
  const auto number = bound.constant();
  constexpr std::int64_t kHuge = std::numeric_limits<std::int32_t>::max();
  if (number && *number >= kHuge) return size;
  if (number && (*number == 0 || *number <= -kHuge)) return 0;
  if (number && *number < 0) return Dim::max(0, size + bound);
  return min(bound, size);
}

// Forward slices of any size, backward ones of a known size.
Expected<Cut> cut_axis(const Dim& size, const Dim& start, const Dim& end, std::int64_t step) {
  if (step > 0) {
    const Dim begin = clamp_bound(start, size);
    const Dim span = clamp_bound(end, size) - begin;
    const Dim length = step == 1 ? span : Dim::floor_div(span + Dim(step) - Dim(1), step);
    const auto number = length.constant();
    return Cut{begin, number && *number < 0 ? Dim(0) : length};
  }
  const auto n = size.constant(), s = start.constant(), e = end.constant();
  if (step == 0) return invalid_file("a step of 0");
  if (!n || !s || !e) return unsupported("a backward slice of a size that is not known");
  const std::int64_t from = std::clamp<std::int64_t>(*s < 0 ? *s + *n : *s, -1, *n - 1);
  const std::int64_t to = std::clamp<std::int64_t>(*e < 0 && *e >= -*n ? *e + *n : *e, -1, *n - 1);
  if (step == std::numeric_limits<std::int64_t>::min())
    return invalid_file("the step is too large");
  return Cut{from, from > to ? (from - to - step - 1) / -step : 0};
}

}  // namespace

Status concat(ShapeContext& c) {
  if (!c.has(0)) return invalid_file("an input is missing");
  Shape out = c.shape(0);
  THIMBLE_ASSIGN(const std::size_t axis, normal_axis(c.node().integer("axis", 0), out.size()));
  DType type = c.dtype(0);
  std::optional<DimData> data = out.size() == 1 ? c.data(0) : std::nullopt;
  for (std::size_t i = 1; i < c.input_count(); ++i) {
    if (!c.has(i)) return invalid_file("an input is missing");
    const Shape& other = c.shape(i);
    THIMBLE_ASSIGN(type, common_type(type, c.dtype(i)));
    if (other.size() != out.size()) {
      return invalid_file("ranks differ: " + to_string(out) + " and " + to_string(other));
    }
    for (std::size_t d = 0; d < out.size(); ++d) {
      if (d == axis) {
        out[d] = out[d] + other[d];
      } else {
        THIMBLE_ASSIGN(out[d], same_size(out[d], other[d], "sizes beside the axis"));
      }
    }
    const std::optional<DimData> more = data ? c.data(i) : std::nullopt;
    if (more && data->size() + more->size() <= ShapeContext::kMostData) {
      data->insert(data->end(), more->begin(), more->end());
    } else {
      data.reset();
    }
  }
  c.give(type, std::move(out), std::move(data));
  return ok();
}

Status slice(ShapeContext& c) {
  THIMBLE_ASSIGN(const DimData starts, c.need_data(1, "the starts"));
  THIMBLE_ASSIGN(const DimData ends, c.need_data(2, "the ends"));
  std::vector<std::int64_t> axes, steps(starts.size(), 1);
  for (std::size_t i = 0; i < starts.size(); ++i) axes.push_back(static_cast<std::int64_t>(i));
  if (c.has(3)) {
    THIMBLE_ASSIGN(axes, c.need_numbers(3, "the axes"));
  }
  if (c.has(4)) {
    THIMBLE_ASSIGN(steps, c.need_numbers(4, "the steps"));
  }
  if (ends.size() != starts.size() || axes.size() != starts.size() ||
      steps.size() != starts.size()) {
    return invalid_file("starts, ends, axes and steps differ in length");
  }
  Shape out = c.shape(0);
  std::optional<DimData> data = out.size() == 1 ? c.data(0) : std::nullopt;
  for (std::size_t i = 0; i < starts.size(); ++i) {
    THIMBLE_ASSIGN(const std::size_t axis, normal_axis(axes[i], out.size()));
    THIMBLE_ASSIGN(const Cut cut, cut_axis(c.shape(0)[axis], starts[i], ends[i], steps[i]));
    out[axis] = cut.length;
    const auto begin = cut.begin.constant(), length = cut.length.constant();
    if (!data) continue;
    DimData kept;
    for (std::int64_t k = 0; begin && length && k < *length; ++k) {
      kept.push_back((*data)[static_cast<std::size_t>(*begin + k * steps[i])]);
    }
    data = begin && length ? std::optional(std::move(kept)) : std::nullopt;
  }
  c.give(c.dtype(0), std::move(out), std::move(data));
  return ok();
}

namespace {

// Elements [start, start + count) of those known; nothing where that isn't certain.
std::optional<DimData> part_of(const std::optional<DimData>& data, const Dim& start,
                               const Dim& count) {
  const auto first = start.constant(), length = count.constant();
  if (!data || !first || !length || *first + *length > static_cast<std::int64_t>(data->size()))
    return std::nullopt;
  return DimData(data->begin() + *first, data->begin() + *first + *length);
}

}  // namespace

Status split(ShapeContext& c) {
  const Shape& from = c.shape(0);
  THIMBLE_ASSIGN(const std::size_t axis, normal_axis(c.node().integer("axis", 0), from.size()));
  const auto parts = static_cast<std::int64_t>(c.output_count());
  DimData sizes;
  if (c.has(1)) {
    THIMBLE_ASSIGN(sizes, c.need_data(1, "the sizes of the parts"));
    if (static_cast<std::int64_t>(sizes.size()) != parts) {
      return invalid_file(std::to_string(sizes.size()) + " sizes for " + std::to_string(parts) +
                          " parts");
    }
    Dim total = 0;
    for (const Dim& size : sizes) {
      if (size.constant().value_or(0) < 0) return invalid_file("a part's size is negative");
      total = total + size;
    }
    THIMBLE_TRY(same_size(total, from[axis], "the parts' sizes and the whole"));
  } else {
    if (c.node().integer("num_outputs", parts) != parts) {
      return invalid_file("num_outputs is not the number of results");
    }
    const Dim part = Dim::floor_div(from[axis] + Dim(parts - 1), parts);
    sizes.assign(static_cast<std::size_t>(parts), part);
    sizes.back() = from[axis] - part * Dim(parts - 1);
    // Few elements leave the last parts empty.
    if (const auto known = from[axis].constant();
        known && sizes.back().constant().value_or(0) < 0) {
      std::int64_t rest = *known;
      for (Dim& size : sizes) {
        size = std::min(*part.constant(), rest);
        rest -= *size.constant();
      }
    }
  }
  std::vector<ShapeContext::Result> results;
  const std::optional<DimData> data = from.size() == 1 ? c.data(0) : std::nullopt;
  Dim start = 0;
  for (const Dim& size : sizes) {
    Shape out = from;
    out[axis] = size;
    results.push_back({c.dtype(0), std::move(out), part_of(data, start, size)});
    start = start + size;
  }
  c.give(std::move(results));
  return ok();
}

Status gather(ShapeContext& c) {
  const Shape& from = c.shape(0);
  const Shape& indices = c.shape(1);
  THIMBLE_ASSIGN(const std::size_t axis, normal_axis(c.node().integer("axis", 0), from.size()));
  if (c.dtype(1) != DType::kI64 && c.dtype(1) != DType::kI32) {
    return invalid_file("indices must be integers, not " + std::string(dtype_name(c.dtype(1))));
  }
  Shape out(from.begin(), from.begin() + static_cast<std::ptrdiff_t>(axis));
  out.insert(out.end(), indices.begin(), indices.end());
  out.insert(out.end(), from.begin() + static_cast<std::ptrdiff_t>(axis) + 1, from.end());
  const bool follow = from.size() == 1 && (c.dtype(0) == DType::kI64 || c.dtype(0) == DType::kI32);
  const std::optional<DimData> table = follow ? c.data(0) : std::nullopt;
  const std::optional<DimData> wanted = table ? c.data(1) : std::nullopt;
  std::optional<DimData> data;
  if (wanted) {
    data.emplace();
    const auto size = static_cast<std::int64_t>(table->size());
    for (const Dim& index : *wanted) {
      const auto i = index.constant();
      if (!i || *i < -size || *i >= size) {
        if (i)
          return invalid_file("index " + std::to_string(*i) + " is outside of " + to_string(from));
        data.reset();
        break;
      }
      data->push_back((*table)[static_cast<std::size_t>(*i < 0 ? *i + size : *i)]);
    }
  }
  c.give(c.dtype(0), std::move(out), std::move(data));
  return ok();
}

Status range(ShapeContext& c) {
  if (c.dtype(0) != DType::kI64 && c.dtype(0) != DType::kI32) {
    return unsupported("a Range of " + std::string(dtype_name(c.dtype(0))));
  }
  THIMBLE_ASSIGN(const DimData start, c.need_data(0, "the start"));
  THIMBLE_ASSIGN(const DimData limit, c.need_data(1, "the limit"));
  THIMBLE_ASSIGN(const std::vector<std::int64_t> delta, c.need_numbers(2, "the step"));
  if (start.size() != 1 || limit.size() != 1 || delta.size() != 1 || delta[0] == 0 ||
      delta[0] == std::numeric_limits<std::int64_t>::min()) {
    return invalid_file("start, limit and step must be scalars, and the step not 0");
  }
  const std::int64_t step = delta[0];
  const Dim span = step > 0 ? limit[0] - start[0] : start[0] - limit[0];
  const std::int64_t stride = step > 0 ? step : -step;
  Dim count = Dim::floor_div(span + Dim(stride - 1), stride);
  if (count.constant().value_or(0) < 0) count = 0;
  const auto number = count.constant();
  std::optional<DimData> data;
  if (number && *number <= static_cast<std::int64_t>(ShapeContext::kMostData)) {
    data.emplace();
    for (std::int64_t i = 0; i < *number; ++i) data->push_back(start[0] + Dim(i) * Dim(step));
  }
  c.give(c.dtype(0), {count}, std::move(data));
  return ok();
}

}  // namespace thimble::ir::shapes

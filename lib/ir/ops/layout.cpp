#include <algorithm>

#include "ir/ops/shape_context.h"
#include "ir/ops/shape_functions.h"

namespace thimble::ir::shapes {
namespace {

// Normal axes, each once.
Expected<std::vector<std::size_t>> normal_axes(const std::vector<std::int64_t>& axes,
                                               std::size_t rank) {
  std::vector<std::size_t> out;
  for (const std::int64_t axis : axes) {
    THIMBLE_ASSIGN(const std::size_t normal, normal_axis(axis, rank));
    if (std::find(out.begin(), out.end(), normal) != out.end()) {
      return invalid_file("axis " + std::to_string(axis) + " is named twice");
    }
    out.push_back(normal);
  }
  return out;
}

// What is left for the one size that Reshape works out. Equal sizes on both sides cancel first.
Expected<Dim> remaining_size(Shape from, const Shape& known) {
  Dim divisor = 1;
  for (const Dim& dim : known) {
    const auto same = std::find(from.begin(), from.end(), dim);
    if (same != from.end() && dim != Dim(0)) {
      from.erase(same);
    } else {
      divisor = divisor * dim;
    }
  }
  const Dim total = element_count(from);
  if (divisor == Dim(0)) return invalid_file("a size of -1 beside a size of 0 has no meaning");
  const Dim quotient = Dim::floor_div(total, divisor);
  const auto a = total.constant(), b = divisor.constant();
  if (a && b && *a % *b != 0) {
    return invalid_file(std::to_string(*a) + " elements do not divide by " + std::to_string(*b));
  }
  return quotient;
}

}  // namespace

Status reshape(ShapeContext& c) {
  THIMBLE_ASSIGN(const DimData wanted, c.need_data(1, "the shape"));
  const Shape& from = c.shape(0);
  const bool allow_zero = c.node().integer("allowzero", 0) != 0;
  Shape out, known;
  std::optional<std::size_t> open;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    Dim dim = wanted[i];
    if (dim == Dim(-1)) {
      if (open) return invalid_file("only one size may be -1");
      open = i;
    } else {
      if (dim == Dim(0) && !allow_zero) {
        if (i >= from.size()) return invalid_file("a size of 0 has no size to copy");
        dim = from[i];
      }
      if (dim.constant().value_or(0) < 0)
        return invalid_file("a size is negative: " + dim.to_string());
      known.push_back(dim);
    }
    out.push_back(std::move(dim));
  }
  if (open) {
    THIMBLE_ASSIGN(out[*open], remaining_size(from, known));
  } else {
    const auto before = element_count(from).constant(), after = element_count(out).constant();
    if (before && after && *before != *after) {
      return invalid_file("cannot reshape " + to_string(from) + " to " + to_string(out));
    }
  }
  c.give(c.dtype(0), std::move(out), c.data(0));
  return ok();
}

Status transpose(ShapeContext& c) {
  const Shape& from = c.shape(0);
  std::vector<std::int64_t> perm = c.node().integers("perm");
  if (c.node().find("perm") == nullptr) {
    for (std::size_t i = from.size(); i > 0; --i) perm.push_back(static_cast<std::int64_t>(i - 1));
  }
  THIMBLE_ASSIGN(const std::vector<std::size_t> axes, normal_axes(perm, from.size()));
  if (axes.size() != from.size()) return invalid_file("perm must name every axis once");
  Shape out;
  for (const std::size_t axis : axes) out.push_back(from[axis]);
  c.give(c.dtype(0), std::move(out), from.size() < 2 ? c.data(0) : std::nullopt);
  return ok();
}

Status unsqueeze(ShapeContext& c) {
  THIMBLE_ASSIGN(const std::vector<std::int64_t> given, c.need_numbers(1, "the axes"));
  const Shape& from = c.shape(0);
  const std::size_t rank = from.size() + given.size();
  THIMBLE_ASSIGN(const std::vector<std::size_t> axes, normal_axes(given, rank));
  Shape out;
  auto next = from.begin();
  for (std::size_t i = 0; i < rank; ++i) {
    const bool is_new = std::find(axes.begin(), axes.end(), i) != axes.end();
    out.push_back(is_new ? Dim(1) : *next++);
  }
  c.give(c.dtype(0), std::move(out), c.data(0));
  return ok();
}

Status squeeze(ShapeContext& c) {
  const Shape& from = c.shape(0);
  std::vector<std::size_t> axes;
  if (c.has(1)) {
    THIMBLE_ASSIGN(const std::vector<std::int64_t> given, c.need_numbers(1, "the axes"));
    THIMBLE_ASSIGN(axes, normal_axes(given, from.size()));
  } else {
    for (std::size_t i = 0; i < from.size(); ++i) {
      if (from[i] == Dim(1)) axes.push_back(i);
    }
  }
  Shape out;
  for (std::size_t i = 0; i < from.size(); ++i) {
    if (std::find(axes.begin(), axes.end(), i) == axes.end()) {
      out.push_back(from[i]);
    } else if (from[i].constant().value_or(1) != 1) {
      return invalid_file("cannot squeeze a size of " + from[i].to_string());
    }
  }
  c.give(c.dtype(0), std::move(out), c.data(0));
  return ok();
}

Status flatten(ShapeContext& c) {
  const Shape& from = c.shape(0);
  const auto rank = static_cast<std::int64_t>(from.size());
  std::int64_t axis = c.node().integer("axis", 1);
  if (axis < -rank || axis > rank)
    return invalid_file("axis " + std::to_string(axis) + " is outside of the tensor");
  if (axis < 0) axis += rank;
  c.give(c.dtype(0), {element_count({from.begin(), from.begin() + axis}),
                      element_count({from.begin() + axis, from.end()})});
  return ok();
}

Status expand(ShapeContext& c) {
  THIMBLE_ASSIGN(const DimData wanted, c.need_data(1, "the shape"));
  THIMBLE_ASSIGN(Shape out, broadcast(c.shape(0), wanted));
  std::optional<DimData> data = c.data(0);
  const auto count = element_count(out).constant();
  if (data && (!count || *count != static_cast<std::int64_t>(data->size()))) {
    const bool fill = data->size() == 1 && count && *count > 0 &&
                      *count <= static_cast<std::int64_t>(ShapeContext::kMostData);
    data = fill ? std::optional(DimData(static_cast<std::size_t>(*count), data->front()))
                : std::nullopt;
  }
  c.give(c.dtype(0), std::move(out), std::move(data));
  return ok();
}

Status shape_of(ShapeContext& c) {
  const Shape& from = c.shape(0);
  const auto rank = static_cast<std::int64_t>(from.size());
  const auto clamp = [&](std::int64_t i) {
    return std::clamp<std::int64_t>(i < 0 ? i + rank : i, 0, rank);
  };
  const std::int64_t begin = clamp(c.node().integer("start", 0));
  const std::int64_t end = std::max(begin, clamp(c.node().integer("end", rank)));
  DimData data(from.begin() + begin, from.begin() + end);
  c.give(DType::kI64, {end - begin}, std::move(data));
  return ok();
}

}  // namespace thimble::ir::shapes

#include "passes/simplify/index_grid.h"

#include <algorithm>

#include "passes/simplify/rewrite.h"

namespace thimble::passes {
namespace {

constexpr int kMostDepth = 24;

// Sizes are never negative, so a polynomial without negative coefficients isn't either.
bool never_negative(const ir::Dim& dim) {
  const auto& terms = dim.terms();
  return std::all_of(terms.begin(), terms.end(),
                     [](const ir::Dim::Term& term) { return term.coefficient >= 0; });
}

// The steps of `grid` along the axes of `shape`, to which it broadcasts.
std::vector<ir::Dim> broadcast_steps(const Grid& grid, const ir::Shape& shape) {
  std::vector<ir::Dim> steps(shape.size(), ir::Dim(0));
  const std::size_t skip = shape.size() - grid.steps.size();
  std::copy(grid.steps.begin(), grid.steps.end(),
            steps.begin() + static_cast<std::ptrdiff_t>(skip));
  return steps;
}

// The same grid in a shape that differs in axes of size 1 alone.
std::optional<Grid> reshaped(const Grid& grid, const ir::Shape& to) {
  Grid out{to, grid.offset, std::vector<ir::Dim>(to.size(), ir::Dim(0))};
  std::size_t axis = 0;
  for (std::size_t i = 0; i < grid.shape.size(); ++i) {
    if (grid.shape[i] == ir::Dim(1)) continue;
    while (axis < to.size() && to[axis] == ir::Dim(1)) ++axis;
    if (axis == to.size() || !(to[axis] == grid.shape[i])) return std::nullopt;
    out.steps[axis++] = grid.steps[i];
  }
  const bool rest = std::all_of(to.begin() + static_cast<std::ptrdiff_t>(axis), to.end(),
                                [](const ir::Dim& dim) { return dim == ir::Dim(1); });
  return rest ? std::optional(std::move(out)) : std::nullopt;
}

}  // namespace

bool counts_elements(const Grid& grid) {
  if (!(grid.offset == ir::Dim(0))) return false;
  ir::Dim step = 1;
  for (std::size_t i = grid.shape.size(); i > 0; --i) {
    if (grid.shape[i - 1] == ir::Dim(1)) continue;
    if (!(grid.steps[i - 1] == step)) return false;
    step = step * grid.shape[i - 1];
  }
  return true;
}

std::optional<ir::Dim> Grids::scalar(ir::ValueId value) const {
  if (!value.valid()) return std::nullopt;
  if (const auto known = constant_integers(model_, graph_, value))
    return known->size() == 1 ? std::optional(ir::Dim(known->front())) : std::nullopt;
  if (value.index >= data_.size()) return std::nullopt;
  const auto& data = data_[value.index];
  return data && data->size() == 1 ? std::optional(data->front()) : std::nullopt;
}

// A constant with one axis that isn't 1 long, along which it grows evenly.
std::optional<Grid> Grids::of_constant(ir::ValueId value) const {
  const auto numbers = constant_integers(model_, graph_, value);
  if (!numbers || numbers->size() < 2) return std::nullopt;
  const ir::Shape& shape = *graph_.value(value).shape;
  const std::int64_t step = (*numbers)[1] - (*numbers)[0];
  for (std::size_t i = 1; i < numbers->size(); ++i) {
    if ((*numbers)[i] - (*numbers)[i - 1] != step) return std::nullopt;
  }
  const ir::Dim length(static_cast<std::int64_t>(numbers->size()));
  Grid line{{length}, (*numbers)[0], {step}};
  return reshaped(line, shape);
}

bool Grids::starts_whole(const ir::Node& slice) const {
  const auto all = [&](std::size_t input, std::int64_t wanted) {
    const auto values = constant_integers(model_, graph_, slice.inputs[input]);
    return values && std::all_of(values->begin(), values->end(),
                                 [&](std::int64_t value) { return value == wanted; });
  };
  return all(1, 0) && (slice.inputs.size() < 5 || !slice.inputs[4].valid() || all(4, 1));
}

std::optional<Grid> Grids::find(ir::ValueId value, int depth) const {
  if (!value.valid() || depth > kMostDepth) return std::nullopt;
  const ir::Value& v = graph_.value(value);
  if (!v.shape || (v.dtype != ir::DType::kI64 && v.dtype != ir::DType::kI32)) return std::nullopt;
  if (const auto number = scalar(value))
    return Grid{*v.shape, *number, std::vector<ir::Dim>(v.shape->size(), ir::Dim(0))};
  if (v.weight.valid()) return of_constant(value);
  if (!v.producer.valid()) return std::nullopt;
  auto grid = of_node(graph_.node(v.producer), depth);
  if (!grid || grid->shape.size() != v.shape->size()) return std::nullopt;
  grid->shape = *v.shape;
  for (std::size_t i = 0; i < grid->shape.size(); ++i) {
    if (grid->shape[i] == ir::Dim(1)) grid->steps[i] = 0;
  }
  return grid;
}

std::optional<Grid> Grids::of_node(const ir::Node& node, int depth) const {
  const ir::Shape& shape = *graph_.value(node.outputs[0]).shape;
  if (node.is("Range")) {
    const auto start = scalar(node.inputs[0]), step = scalar(node.inputs[2]);
    if (!start || !step) return std::nullopt;
    return Grid{shape, *start, {*step}};
  }
  if (node.is("Add") || node.is("Sub") || node.is("Mul")) return combined(node, depth);
  const bool moves =
      node.is("Unsqueeze") || node.is("Squeeze") || node.is("Reshape") || node.is("Flatten");
  const bool passes = node.is("Cast") || node.is("Identity");
  const bool cuts = node.is("Slice") && starts_whole(node);
  if (!moves && !passes && !cuts && !node.is("Expand")) return std::nullopt;
  auto grid = find(node.inputs[0], depth + 1);
  if (!grid) return std::nullopt;
  if (moves) return reshaped(*grid, shape);
  if (node.is("Expand")) {
    if (grid->steps.size() > shape.size()) return std::nullopt;
    grid->steps = broadcast_steps(*grid, shape);
  }
  grid->shape = shape;
  return grid;
}

std::optional<Grid> Grids::combined(const ir::Node& node, int depth) const {
  const auto a = find(node.inputs[0], depth + 1), b = find(node.inputs[1], depth + 1);
  if (!a || !b) return std::nullopt;
  const ir::Shape& shape = *graph_.value(node.outputs[0]).shape;
  if (a->steps.size() > shape.size() || b->steps.size() > shape.size()) return std::nullopt;
  Grid out{shape, 0, broadcast_steps(*a, shape)};
  const std::vector<ir::Dim> other = broadcast_steps(*b, shape);
  const auto flat = [](const std::vector<ir::Dim>& steps) {
    return std::all_of(steps.begin(), steps.end(),
                       [](const ir::Dim& step) { return step == ir::Dim(0); });
  };
  if (node.is("Mul")) {
    if (!flat(out.steps) && !flat(other)) return std::nullopt;
    for (std::size_t i = 0; i < shape.size(); ++i)
      out.steps[i] = out.steps[i] * b->offset + other[i] * a->offset;
    out.offset = a->offset * b->offset;
    return out;
  }
  const ir::Dim sign = node.is("Add") ? 1 : -1;
  for (std::size_t i = 0; i < shape.size(); ++i) out.steps[i] = out.steps[i] + sign * other[i];
  out.offset = a->offset + sign * b->offset;
  return out;
}

bool Grids::all_true(ir::ValueId value, int depth) const {
  if (!value.valid() || depth > kMostDepth || graph_.value(value).dtype != ir::DType::kBool)
    return false;
  if (const auto known = constant_integers(model_, graph_, value))
    return std::find(known->begin(), known->end(), 0) == known->end();
  const ir::NodeId producer = graph_.value(value).producer;
  if (!producer.valid()) return false;
  const ir::Node& node = graph_.node(producer);
  if (node.is("And"))
    return all_true(node.inputs[0], depth + 1) && all_true(node.inputs[1], depth + 1);
  if (node.is("Or"))
    return all_true(node.inputs[0], depth + 1) || all_true(node.inputs[1], depth + 1);
  if (node.is("Cast") || node.is("Expand") || node.is("Reshape") || node.is("Unsqueeze"))
    return all_true(node.inputs[0], depth + 1);
  if (node.is("ConstantOfShape")) {
    const auto* filled = node.find("value");
    const auto number = filled != nullptr
                            ? ir::read_integers(model_.weight(std::get<ir::WeightId>(*filled)))
                            : Expected<std::vector<std::int64_t>>(std::vector<std::int64_t>{0});
    return number && number->size() == 1 && number->front() != 0;
  }
  if (!node.is("GreaterOrEqual")) return false;
  const auto grid = find(node.inputs[0], depth + 1);
  const auto bound = scalar(node.inputs[1]);
  if (!grid || !bound) return false;
  return never_negative(grid->offset - *bound) &&
         std::all_of(grid->steps.begin(), grid->steps.end(), never_negative);
}

}  // namespace thimble::passes

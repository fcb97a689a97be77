#include "ir/ops/shape_context.h"

namespace thimble::ir {

bool ShapeContext::has(std::size_t input) const {
  return input < node_.inputs.size() && node_.inputs[input].valid();
}

const Shape& ShapeContext::shape(std::size_t input) const {
  const Value& value = graph_.value(node_.inputs[input]);
  THIMBLE_CHECK(value.shape.has_value(), "shape of " + value.name + " is known");
  return *value.shape;
}

DType ShapeContext::dtype(std::size_t input) const {
  return graph_.value(node_.inputs[input]).dtype;
}

std::optional<DimData> ShapeContext::data(std::size_t input) const {
  const ValueId id = node_.inputs[input];
  const Value& value = graph_.value(id);
  if (!value.weight.valid()) return data_[id.index];
  const Weight& weight = model_.weight(value.weight);
  if (weight.source == nullptr || weight.element_count() > static_cast<std::int64_t>(kMostData)) {
    return std::nullopt;
  }
  const Expected<std::vector<std::int64_t>> numbers = read_integers(weight);
  if (!numbers) return std::nullopt;
  return DimData(numbers->begin(), numbers->end());
}

Expected<DimData> ShapeContext::need_data(std::size_t input, std::string_view what) const {
  std::optional<DimData> known = data(input);
  if (known) return *std::move(known);
  return unsupported(std::string(what) +
                     " must be known before the model runs, but is computed from data");
}

Expected<std::vector<std::int64_t>> ShapeContext::need_numbers(std::size_t input,
                                                               std::string_view what) const {
  THIMBLE_ASSIGN(const DimData known, need_data(input, what));
  std::vector<std::int64_t> numbers;
  for (const Dim& dim : known) {
    const auto number = dim.constant();
    if (!number) return unsupported(std::string(what) + " depends on the size " + dim.to_string());
    numbers.push_back(*number);
  }
  return numbers;
}

std::optional<std::vector<float>> ShapeContext::floats(std::size_t input) const {
  const Value& value = graph_.value(node_.inputs[input]);
  if (!value.weight.valid()) return std::nullopt;
  const Weight& weight = model_.weight(value.weight);
  if (weight.source == nullptr || !dtype_is_float(weight.dtype) ||
      weight.element_count() > static_cast<std::int64_t>(kMostData)) {
    return std::nullopt;
  }
  Expected<std::vector<float>> values = read_floats(weight);
  if (!values) return std::nullopt;
  return std::move(*values);
}

namespace types {

DType boolean(const ShapeContext&, std::size_t) { return DType::kBool; }
DType i64(const ShapeContext&, std::size_t) { return DType::kI64; }
DType second(const ShapeContext& context, std::size_t) { return context.dtype(1); }
DType third(const ShapeContext& context, std::size_t) { return context.dtype(2); }

DType target(const ShapeContext& context, std::size_t) {
  for (const std::string_view name : {"to", "dtype"}) {
    if (context.node().find(name) != nullptr)
      return static_cast<DType>(context.node().integer(name, 0));
  }
  return context.dtype(0);
}

DType value_or_f32(const ShapeContext& context, std::size_t) {
  const AttributeValue* value = context.node().find("value");
  if (value == nullptr) return DType::kF32;
  const Model& model = context.model();
  return constant_type(model, model.weight(std::get<WeightId>(*value)));
}

}  // namespace types

Expected<std::size_t> normal_axis(std::int64_t axis, std::size_t rank) {
  const auto signed_rank = static_cast<std::int64_t>(rank);
  if (axis < -signed_rank || axis >= signed_rank) {
    return invalid_file("axis " + std::to_string(axis) + " is outside of a tensor of rank " +
                        std::to_string(rank));
  }
  return static_cast<std::size_t>(axis < 0 ? axis + signed_rank : axis);
}

Expected<Shape> broadcast(const Shape& a, const Shape& b) {
  const Shape& longer = a.size() >= b.size() ? a : b;
  const Shape& shorter = a.size() >= b.size() ? b : a;
  Shape out = longer;
  for (std::size_t i = 0; i < shorter.size(); ++i) {
    Dim& x = out[longer.size() - shorter.size() + i];
    const Dim& y = shorter[i];
    if (x == y || y == Dim(1)) continue;
    if (x == Dim(1)) {
      x = y;
    } else if (x.is_constant() && y.is_constant()) {
      return invalid_file("shapes " + to_string(a) + " and " + to_string(b) + " do not broadcast");
    } else if (y.is_constant()) {
      x = y;
    } else if (!x.is_constant()) {
      x = Dim::max(x, y);
    }
  }
  return out;
}

Expected<Dim> same_size(const Dim& a, const Dim& b, std::string_view what) {
  if (a == b || a.is_constant()) {
    if (a != b && b.is_constant()) {
      return invalid_file(std::string(what) + " differ: " + a.to_string() + " and " +
                          b.to_string());
    }
    return a;
  }
  return b.is_constant() ? b : a;
}

Dim element_count(const Shape& shape) {
  Dim total = 1;
  for (const Dim& dim : shape) total = total * dim;
  return total;
}

Expected<DType> common_type(DType a, DType b) {
  if (a == b) return a;
  if (dtype_is_float(a) && dtype_is_float(b)) return dtype_bits(a) >= dtype_bits(b) ? a : b;
  return invalid_file("types " + std::string(dtype_name(a)) + " and " + std::string(dtype_name(b)) +
                      " do not mix");
}

}  // namespace thimble::ir

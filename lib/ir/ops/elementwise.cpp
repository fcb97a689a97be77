#include <algorithm>
#include <functional>

#include "ir/ops/shape_context.h"
#include "ir/ops/shape_functions.h"

namespace thimble::ir::shapes {
namespace {

using Combine = std::function<std::optional<Dim>(const Dim&, const Dim&)>;

// Elementwise on data of scalars and vectors, where one side may be a single element.
std::optional<DimData> combine(const std::optional<DimData>& a, const std::optional<DimData>& b,
                               const Combine& f) {
  if (!a || !b || a->empty() || b->empty()) return std::nullopt;
  const std::size_t n = std::max(a->size(), b->size());
  if ((a->size() != n && a->size() != 1) || (b->size() != n && b->size() != 1)) return std::nullopt;
  DimData out;
  for (std::size_t i = 0; i < n; ++i) {
    const std::optional<Dim> one = f((*a)[a->size() == 1 ? 0 : i], (*b)[b->size() == 1 ? 0 : i]);
    if (!one) return std::nullopt;
    out.push_back(*one);
  }
  return out;
}

Combine integer_function(std::string_view op) {
  if (op == "Add") return [](const Dim& a, const Dim& b) { return std::optional(a + b); };
  if (op == "Sub") return [](const Dim& a, const Dim& b) { return std::optional(a - b); };
  if (op == "Mul") return [](const Dim& a, const Dim& b) { return std::optional(a * b); };
  if (op == "Max") return [](const Dim& a, const Dim& b) { return std::optional(Dim::max(a, b)); };
  if (op == "Min") {
    return [](const Dim& a, const Dim& b) { return std::optional(a + b - Dim::max(a, b)); };
  }
  if (op == "Div") {  // sizes are not negative, so truncating and flooring agree
    return [](const Dim& a, const Dim& b) -> std::optional<Dim> {
      if (b == Dim(0) || a.constant().value_or(0) < 0 || b.constant().value_or(1) < 0) {
        return std::nullopt;
      }
      return Dim::floor_div(a, b);
    };
  }
  return nullptr;
}

// Is a == b, where that is certain whatever the symbols are (which are never negative)?
std::optional<Dim> certainly_equal(const Dim& a, const Dim& b) {
  if (const auto difference = (a - b).constant()) return Dim(*difference == 0 ? 1 : 0);
  const auto lone_symbol = [](const Dim& d) {
    return d.terms().size() == 1 && d.terms()[0].coefficient > 0;
  };
  const bool a_negative = a.constant().value_or(0) < 0, b_negative = b.constant().value_or(0) < 0;
  if ((a_negative && lone_symbol(b)) || (b_negative && lone_symbol(a))) return Dim(0);
  return std::nullopt;
}

bool holds_data(DType type) {
  return type == DType::kI64 || type == DType::kI32 || type == DType::kBool;
}

}  // namespace

Status same_as_input(ShapeContext& c) {
  c.give(c.dtype(0), c.shape(0));
  return ok();
}

Status integer_preserving(ShapeContext& c) {
  c.give(c.dtype(0), c.shape(0), c.data(0));
  return ok();
}

Status arithmetic(ShapeContext& c) {
  DType type = c.dtype(0);
  Shape shape = c.shape(0);
  const Combine function = integer_function(c.node().op);
  const bool follow = holds_data(type) && function != nullptr;
  std::optional<DimData> data = follow ? c.data(0) : std::nullopt;
  for (std::size_t i = 1; i < c.input_count(); ++i) {
    if (c.node().op != "Pow") {  // Pow's exponent may be of any type
      THIMBLE_ASSIGN(type, common_type(type, c.dtype(i)));
    }
    THIMBLE_ASSIGN(shape, broadcast(shape, c.shape(i)));
    if (follow) data = combine(data, c.data(i), function);
  }
  c.give(type, std::move(shape), std::move(data));
  return ok();
}

Status comparison(ShapeContext& c) {
  THIMBLE_TRY(common_type(c.dtype(0), c.dtype(1)));
  THIMBLE_ASSIGN(Shape shape, broadcast(c.shape(0), c.shape(1)));
  std::optional<DimData> data;
  if (c.node().op == "Equal" && holds_data(c.dtype(0))) {
    data = combine(c.data(0), c.data(1), certainly_equal);
  }
  c.give(DType::kBool, std::move(shape), std::move(data));
  return ok();
}

Status where(ShapeContext& c) {
  if (c.dtype(0) != DType::kBool) return invalid_file("the condition must be bool");
  THIMBLE_ASSIGN(const DType type, common_type(c.dtype(1), c.dtype(2)));
  THIMBLE_ASSIGN(const Shape both, broadcast(c.shape(1), c.shape(2)));
  THIMBLE_ASSIGN(Shape shape, broadcast(c.shape(0), both));
  std::optional<DimData> data;
  if (holds_data(type)) {
    const auto condition = c.data(0), a = c.data(1), b = c.data(2);
    const auto zero_or = [](bool wanted) {
      return [wanted](const Dim& flag, const Dim& value) {
        return std::optional((flag == Dim(0)) != wanted ? value : Dim(0));
      };
    };
    data = combine(combine(condition, a, zero_or(true)), combine(condition, b, zero_or(false)),
                   [](const Dim& x, const Dim& y) { return std::optional(x + y); });
  }
  c.give(type, std::move(shape), std::move(data));
  return ok();
}

Status cast(ShapeContext& c) {
  const std::int64_t to = c.node().integer("to", 0);
  const auto type = static_cast<DType>(to);
  if (to <= 0 || to > 255 || dtype_bits(type) == 0) {
    return invalid_file("type " + std::to_string(to) + " to cast to is unknown");
  }
  const bool integers = holds_data(c.dtype(0)) && (type == DType::kI64 || type == DType::kI32);
  c.give(type, c.shape(0), integers ? c.data(0) : std::nullopt);
  return ok();
}

Status constant(ShapeContext& c) {
  const Node& node = c.node();
  if (const AttributeValue* value = node.find("value")) {
    const Weight& weight = c.model().weight(std::get<WeightId>(*value));
    c.give(constant_type(c.model(), weight), Shape(weight.dims.begin(), weight.dims.end()));
  } else if (node.find("value_int") != nullptr) {
    c.give(DType::kI64, {}, DimData{node.integer("value_int", 0)});
  } else if (node.find("value_ints") != nullptr) {
    const std::vector<std::int64_t> numbers = node.integers("value_ints");
    c.give(DType::kI64, {static_cast<std::int64_t>(numbers.size())},
           DimData(numbers.begin(), numbers.end()));
  } else if (node.find("value_float") != nullptr) {
    c.give(DType::kF32, {});
  } else if (const AttributeValue* reals = node.find("value_floats")) {
    const auto count = std::get<std::vector<float>>(*reals).size();
    c.give(DType::kF32, {static_cast<std::int64_t>(count)});
  } else {
    return invalid_file("a Constant needs a value");
  }
  return ok();
}

Status constant_of_shape(ShapeContext& c) {
  THIMBLE_ASSIGN(const DimData shape, c.need_data(0, "the shape"));
  DType type = DType::kF32;
  std::optional<Dim> filler;
  if (const AttributeValue* value = c.node().find("value")) {
    const Weight& weight = c.model().weight(std::get<WeightId>(*value));
    type = constant_type(c.model(), weight);
    if (holds_data(type) && weight.source != nullptr && weight.element_count() == 1) {
      if (const auto numbers = read_integers(weight)) filler = Dim((*numbers)[0]);
    }
  }
  std::optional<DimData> data;
  const auto count = element_count(shape).constant();
  if (filler && count && *count >= 0 &&
      *count <= static_cast<std::int64_t>(ShapeContext::kMostData)) {
    data = DimData(static_cast<std::size_t>(*count), *filler);
  }
  c.give(type, shape, std::move(data));
  return ok();
}

}  // namespace thimble::ir::shapes

#include "ir/algebra.h"

#include <algorithm>
#include <cmath>

namespace thimble::ir {
namespace {

constexpr int kMostDepth = 16;

template <class T>
void accumulate(std::vector<std::pair<ValueId, T>>& list, ValueId value, T amount) {
  const auto at = std::lower_bound(list.begin(), list.end(), value,
                                   [](const auto& entry, ValueId v) { return entry.first < v; });
  if (at == list.end() || at->first != value) {
    list.insert(at, {value, amount});
  } else if ((at->second += amount) == T{}) {
    list.erase(at);
  }
}

}  // namespace

bool nearly(double a, double b) {
  return std::fabs(a - b) <= 2e-3 * std::max(std::fabs(a), std::fabs(b));
}

std::optional<ValueId> Product::single() const {
  if (factors.size() != 1 || factors[0].second != 1) return std::nullopt;
  return factors[0].first;
}

std::optional<Product> Product::without(const Product& other) const {
  if (other.coefficient == 0) return std::nullopt;
  Product rest = *this;
  rest.coefficient /= other.coefficient;
  for (const auto& [factor, exponent] : other.factors) {
    const auto at =
        std::find_if(rest.factors.begin(), rest.factors.end(),
                     [&value = factor](const auto& entry) { return entry.first == value; });
    if (at == rest.factors.end() || at->second < exponent) return std::nullopt;
    accumulate(rest.factors, factor, -exponent);
  }
  return rest;
}

const Node* Algebra::producer(ValueId value) const {
  const NodeId id = graph_.value(value).producer;
  return id.valid() ? &graph_.node(id) : nullptr;
}

const Node* Algebra::made_by(ValueId value, std::string_view op) const {
  const Node* node = value.valid() ? producer(value) : nullptr;
  return node != nullptr && node->is(op) && node->outputs[0] == value ? node : nullptr;
}

std::optional<double> Algebra::number(ValueId value) const {
  if (!value.valid() || !graph_.value(value).weight.valid()) return std::nullopt;
  const Weight& weight = model_.weight(graph_.value(value).weight);
  if (weight.source == nullptr || weight.element_count() != 1 || !dtype_is_float(weight.dtype))
    return std::nullopt;
  const auto values = read_floats(weight);
  return values ? std::optional<double>(values->front()) : std::nullopt;
}

void Algebra::multiply(ValueId value, int exponent, int depth, Product& out) const {
  if (const auto constant = number(value)) {
    out.coefficient *= std::pow(*constant, exponent);
    return;
  }
  const Node* node = depth < kMostDepth ? producer(value) : nullptr;
  if (node != nullptr && (node->is("Mul") || node->is("Div"))) {
    multiply(node->inputs[0], exponent, depth + 1, out);
    multiply(node->inputs[1], node->is("Mul") ? exponent : -exponent, depth + 1, out);
    return;
  }
  if (node != nullptr && node->is("Neg")) {
    out.coefficient *= exponent % 2 == 0 ? 1 : -1;
    return multiply(node->inputs[0], exponent, depth + 1, out);
  }
  if (node != nullptr && node->is("Reciprocal"))
    return multiply(node->inputs[0], -exponent, depth + 1, out);
  if (node != nullptr && node->is("Pow")) {
    const auto power = number(node->inputs[1]);
    if (power && std::fabs(*power) <= 4 && *power == std::floor(*power) && *power != 0)
      return multiply(node->inputs[0], exponent * static_cast<int>(*power), depth + 1, out);
  }
  accumulate(out.factors, value, exponent);
}

Product Algebra::product(ValueId value) const {
  Product out;
  multiply(value, 1, 0, out);
  return out;
}

void Algebra::add(ValueId value, double weight, int depth, Sum& out) const {
  if (const auto constant = number(value)) {
    out.constant += weight * *constant;
    return;
  }
  const Node* node = depth < kMostDepth ? producer(value) : nullptr;
  if (node != nullptr && (node->is("Add") || node->is("Sub"))) {
    add(node->inputs[0], weight, depth + 1, out);
    add(node->inputs[1], node->is("Add") ? weight : -weight, depth + 1, out);
    return;
  }
  const Product parts = product(value);
  const auto single = parts.single();
  if (single && *single != value) {
    // A number times something: what is inside may be a sum again.
    return add(*single, weight * parts.coefficient, depth + 1, out);
  }
  accumulate(out.terms, value, weight);
}

Sum Algebra::sum(ValueId value) const {
  Sum out;
  add(value, 1, 0, out);
  return out;
}

}  // namespace thimble::ir

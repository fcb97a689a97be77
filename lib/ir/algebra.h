#pragma once
// Products and sums as a graph spells them, in a normal form, so that a pattern need not care
// whether an exporter wrote x / sqrt(2), x * 0.7071 or 0.5 * x * (1 + ...) in another order.
//
// Only f32 values with known shapes are looked through; constants of one element are numbers.

#include <optional>
#include <utility>
#include <vector>

#include "ir/model.h"

namespace thimble::ir {

// coefficient * product of factor ^ exponent. Factors are sorted by value, each once.
struct Product {
  double coefficient = 1;
  std::vector<std::pair<ValueId, int>> factors;

  // The value alone, when it is coefficient * value.
  std::optional<ValueId> single() const;
  // What is left after dividing by `other`'s factors; nothing when they aren't all there.
  std::optional<Product> without(const Product& other) const;
};

// constant + sum of weight * term; terms are sorted by value, each once.
struct Sum {
  double constant = 0;
  std::vector<std::pair<ValueId, double>> terms;
};

class Algebra {
 public:
  explicit Algebra(const Model& model, const Graph& graph) : model_(model), graph_(graph) {}

  // Through Mul, Div, Neg, Reciprocal and Pow with a small whole exponent.
  Product product(ValueId value) const;
  // Through Add, Sub and Neg; terms have their numeric coefficients taken out.
  Sum sum(ValueId value) const;
  // A f32 constant of one element.
  std::optional<double> number(ValueId value) const;
  const Node* producer(ValueId value) const;  // null: an input or a constant
  // The producer when it is this operator of the default domain.
  const Node* made_by(ValueId value, std::string_view op) const;

 private:
  void multiply(ValueId value, int exponent, int depth, Product& out) const;
  void add(ValueId value, double weight, int depth, Sum& out) const;

  const Model& model_;
  const Graph& graph_;
};

// Numbers that exporters write with six digits or more.
bool nearly(double a, double b);

}  // namespace thimble::ir

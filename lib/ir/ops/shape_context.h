#pragma once
// What a shape function sees of its node, and where it puts what it finds.

#include <optional>
#include <vector>

#include "ir/model.h"

namespace thimble::ir {

// Elements of a small integer (or bool) tensor, row-major; each may be symbolic.
using DimData = std::vector<Dim>;

class ShapeContext {
 public:
  static constexpr std::size_t kMostData = 256;  // elements of a tensor that are still followed

  ShapeContext(Model& model, const Graph& graph, const Node& node,
               std::vector<std::optional<DimData>>& data)
      : model_(model), graph_(graph), node_(node), data_(data) {}

  const Node& node() const { return node_; }
  const Model& model() const { return model_; }
  std::size_t input_count() const { return node_.inputs.size(); }
  std::size_t output_count() const { return node_.outputs.size(); }
  bool has(std::size_t input) const;
  // Of an input that is present. Shapes are known: inference goes in topological order.
  const Shape& shape(std::size_t input) const;
  DType dtype(std::size_t input) const;
  // Its elements when they are known: constants, and what was computed from shapes.
  std::optional<DimData> data(std::size_t input) const;
  // The same where inference cannot go on without them: an error says which input.
  Expected<DimData> need_data(std::size_t input, std::string_view what) const;
  // And where they must be plain numbers.
  Expected<std::vector<std::int64_t>> need_numbers(std::size_t input, std::string_view what) const;
  // The elements of a small float constant.
  std::optional<std::vector<float>> floats(std::size_t input) const;

  struct Result {
    DType dtype = DType::kUndefined;
    Shape shape;
    std::optional<DimData> data;
  };
  // One per output, in order; outputs beyond are left alone, results beyond are dropped.
  void give(std::vector<Result> results) { results_ = std::move(results); }
  void give(DType dtype, Shape shape, std::optional<DimData> data = std::nullopt) {
    results_ = {Result{dtype, std::move(shape), std::move(data)}};
  }
  std::vector<Result>& results() { return results_; }

 private:
  Model& model_;
  const Graph& graph_;
  const Node& node_;
  std::vector<std::optional<DimData>>& data_;  // by ValueId
  std::vector<Result> results_;
};

// infer_shapes over one graph of the model and its bodies, and what is known of its small integer
// values, by ValueId. Constants are not among them.
Expected<std::vector<std::optional<DimData>>> infer_data(Model& model, Graph& graph);

// infer_shapes of one graph, as far as it goes: results of which nothing can be told, and control
// flow's, keep what is known of them. For readers, before every operator is one of ours.
void infer_known_shapes(Model& model, Graph& graph);

// Helpers of shape functions.

// An axis counted from the front; an error when it is outside [-rank, rank).
Expected<std::size_t> normal_axis(std::int64_t axis, std::size_t rank);
// ONNX broadcasting. A symbol meets a constant other than 1: the constant; two different symbols:
// their max.
Expected<Shape> broadcast(const Shape& a, const Shape& b);
// Two sizes that must agree: the more definite one, or an error when both are numbers and differ.
Expected<Dim> same_size(const Dim& a, const Dim& b, std::string_view what);
Dim element_count(const Shape& shape);
// The type that floats of two types make together (the wider); an error when the types don't mix.
Expected<DType> common_type(DType a, DType b);

}  // namespace thimble::ir

#pragma once
// Whole numbers that count up along axes: offset + sum of step[k] * index[k], as exporters build
// indices out of Range, Unsqueeze, Mul and Add.

#include <optional>
#include <vector>

#include "ir/model.h"
#include "ir/ops/shape_context.h"

namespace thimble::passes {

struct Grid {
  ir::Shape shape;
  ir::Dim offset;
  std::vector<ir::Dim> steps;  // by axis; 0 along axes of size 1
};

class Grids {
 public:
  // `data` is what ir::infer_data says of the main graph.
  Grids(const ir::Model& model, const std::vector<std::optional<ir::DimData>>& data)
      : model_(model), graph_(model.graph), data_(data) {}

  std::optional<Grid> find(ir::ValueId value, int depth = 0) const;
  // Is the bool value true everywhere?
  bool all_true(ir::ValueId value, int depth = 0) const;

 private:
  std::optional<ir::Dim> scalar(ir::ValueId value) const;
  std::optional<Grid> of_constant(ir::ValueId value) const;
  std::optional<Grid> of_node(const ir::Node& node, int depth) const;
  std::optional<Grid> combined(const ir::Node& node, int depth) const;
  bool starts_whole(const ir::Node& slice) const;

  const ir::Model& model_;
  const ir::Graph& graph_;
  const std::vector<std::optional<ir::DimData>>& data_;
};

// Does it number the elements of its shape in row-major order, from 0?
bool counts_elements(const Grid& grid);

}  // namespace thimble::passes

#pragma once
// Products of quantized weights: MatMulNBits, MatMulInteger, or a MatMul of what DequantizeLinear
// gives, which ONNX Runtime fuses.

#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "formats/onnx/writer_activations.h"
#include "formats/onnx/writer_constants.h"
#include "ir/match.h"

namespace thimble::formats::onnx {

class ProductWriter {
 public:
  // `accuracy_level`: EncodingOptions'. All others live as long as this.
  ProductWriter(ir::Model& model, std::optional<std::int64_t> accuracy_level, Emitter& emit,
                WeightConstants& constants, FixedActivations& fixed)
      : model_(model),
        accuracy_level_(accuracy_level),
        emit_(emit),
        constants_(constants),
        fixed_(fixed) {}

  // What follows is in another graph.
  void start_graph();
  // Leaves the node as it is where none of these fits its weight.
  Status write(ir::Graph& graph, ir::NodeId id, const ir::Linear& linear);

 private:
  Status fixed_product(ir::Graph& graph, ir::NodeId id, const ir::Linear& linear,
                       const CodeForm& form);
  Status fix_sum(ir::Graph& graph, const ir::Linear& linear);
  void dynamic_product(ir::Graph& graph, ir::NodeId id, const ir::Linear& linear,
                       const CodeForm& form);
  ir::ValueId minima_product(ir::Graph& graph, ir::ValueId x, ir::WeightId id,
                             const CodeForm& form);
  ir::ValueId add_bias(const ir::Graph& graph, ir::NodeId id, ir::ValueId y);
  void replace(ir::Graph& graph, ir::NodeId id, ir::ValueId y);

  ir::Model& model_;
  std::optional<std::int64_t> accuracy_level_;
  Emitter& emit_;
  WeightConstants& constants_;
  FixedActivations& fixed_;
  // Of this graph:
  std::map<ir::ValueId, std::vector<ir::ValueId>> dynamic_;           // by x
  std::map<std::pair<ir::ValueId, std::int64_t>, ir::ValueId> sums_;  // by x and groups
};

}  // namespace thimble::formats::onnx

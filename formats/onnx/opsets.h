#pragma once
// The lowest opset of the default domain, and the lowest IR version, that express a model.

#include <cstdint>

#include "ir/graph.h"

namespace thimble::formats::onnx {

// What the graphs of a model ask for; add() each node, then read.
class Versions {
 public:
  // An operator that no opset has is an error that names the node.
  Status add(const ir::Graph& graph, const ir::Node& node);
  void add_type(ir::DType type);

  std::int64_t opset() const { return opset_; }
  std::int64_t ir_version() const;

 private:
  std::int64_t opset_ = 7;
  std::int64_t least_ir_ = 4;  // before it, every initializer was an input, too
};

}  // namespace thimble::formats::onnx

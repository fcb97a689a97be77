#pragma once
// Nodes and constants that rewriting leaves without readers.

#include <cstdint>
#include <set>

#include "ir/model.h"

namespace thimble::formats::onnx {

// Does nothing read the node's results, here or in a body?
bool is_unread(const ir::Model& model, const ir::Graph& graph, ir::NodeId id);

// Made before nodes are rewritten.
class HeldWeights {
 public:
  explicit HeldWeights(const ir::Model& model);
  // Erases constants without readers in every graph, and of the weights that were held those that
  // are no more.
  void drop_unread(ir::Model& model) const;

 private:
  std::set<std::uint32_t> held_;
};

}  // namespace thimble::formats::onnx

// fold-shapes: a Reshape whose target is computed from shapes (Shape, Gather, Concat, ...) takes a
// constant instead, where shape inference knows the result: sizes, 0 for those that stay, one -1.

#include "passes/registrations.h"
#include "passes/simplify/rewrite.h"

namespace thimble::passes {
namespace {

Expected<std::int64_t> fold(ir::Model& model, ir::Graph& graph) {
  std::int64_t folded = 0;
  for (const ir::NodeId id : graph.order()) {
    const ir::Node node = graph.node(id);
    if (!node.is("Reshape") || graph.value(node.inputs[1]).weight.valid()) continue;
    folded += become_reshape(model, graph, id, node.inputs[0]) ? 1 : 0;
  }
  return folded;
}

}  // namespace

pass::Registration fold_shapes() {
  return rewrite("fold-shapes", "Turn computed targets of Reshape into constants", fold);
}

}  // namespace thimble::passes

// fold-shapes: a Reshape whose target is computed from shapes (Shape, Gather, Concat, ...) takes a
// constant instead, where shape inference knows the result: sizes, 0 for those that stay, one -1.

#include "passes/simplify/fold_shapes.h"

#include "passes/simplify/rewrite.h"

namespace thimble::passes {
namespace {

Expected<std::int64_t> fold(ir::Model& model, ir::Graph& graph) {
  std::int64_t folded = 0;
  for (const ir::NodeId id : graph.order()) {
    const ir::Node node = graph.node(id);
    if (!node.is("Reshape") || graph.value(node.inputs[1]).weight.valid()) continue;
    const auto& from = graph.value(node.inputs[0]).shape;
    const auto& to = graph.value(node.outputs[0]).shape;
    const auto target = from && to ? reshape_target(*from, *to) : std::nullopt;
    if (!target) continue;
    const auto size = static_cast<std::int64_t>(target->size());
    const std::string name = graph.value(node.outputs[0]).name + ".shape";
    const ir::ValueId shape = add_constant(model, graph, ir::make_dense(name, {size}, *target));
    replace_node(model, graph, id, "Reshape", {node.inputs[0], shape}, {});
    ++folded;
  }
  return folded;
}

}  // namespace

pass::Registration fold_shapes() {
  return rewrite("fold-shapes", "Turn computed targets of Reshape into constants", fold);
}

}  // namespace thimble::passes

#include "ir/label.h"

namespace thimble::ir {

std::string node_label(const Graph& graph, const Node& node) {
  if (!node.name.empty()) return node.name;
  for (const ValueId output : node.outputs) {
    if (output.valid()) return graph.value(output).name;
  }
  return node.op;
}

Error about_node(Error error, const Graph& graph, const Node& node) {
  return std::move(error).note("node '" + node_label(graph, node) + "' (" + node.op + ")");
}

}  // namespace thimble::ir

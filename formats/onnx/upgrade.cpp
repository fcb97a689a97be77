#include "formats/onnx/upgrade.h"

#include <array>

namespace thimble::formats::onnx {
namespace {

Status upgrade_node(Rewriter& r) {
  // The place of results in memory, which opsets 1 to 5 let a node suggest.
  if (r.opset < 6) r.drop_attribute("consumed_inputs");
  const std::array<std::span<const Adapter>, 6> parts = {attribute_adapters(), default_adapters(),
                                                         broadcast_adapters(), layer_adapters(),
                                                         function_adapters(),  spectrum_adapters()};
  for (const auto part : parts) {
    for (const Adapter& adapter : part) {
      if (!r.alive()) return ok();
      if (r.opset < adapter.below && r.node().is(adapter.op)) THIMBLE_TRY(adapter.rewrite(r));
    }
  }
  return ok();
}

Status upgrade_graph(ir::Model& model, ir::Graph& graph, std::int64_t opset) {
  for (const ir::NodeId id : graph.order()) {
    if (!graph.node(id).domain.empty()) continue;
    Rewriter rewriter(model, graph, id, opset);
    THIMBLE_TRY(upgrade_node(rewriter));
  }
  return ok();
}

}  // namespace

Status upgrade(ir::Model& model, std::int64_t opset) {
  if (opset < 1 || opset > 27) {
    return unsupported("opset " + std::to_string(opset) + " of the default domain")
        .fix("convert the model to an opset from 7 to 27");
  }
  const std::size_t bodies = model.graphs.size();  // those that the upgrade adds are new
  THIMBLE_TRY(upgrade_graph(model, model.graph, opset));
  for (std::size_t i = 0; i < bodies; ++i)
    THIMBLE_TRY(upgrade_graph(model, model.graphs[i], opset));
  return ok();
}

}  // namespace thimble::formats::onnx

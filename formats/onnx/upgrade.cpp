#include "formats/onnx/upgrade.h"

#include <algorithm>
#include <array>

#include "ir/ops/shape_context.h"

namespace thimble::formats::onnx {
namespace {

Status adapt(Rewriter& r, std::span<const Adapter> adapters) {
  for (const Adapter& adapter : adapters) {
    if (!r.alive()) return ok();
    if (r.opset < adapter.below && r.node().is(adapter.op)) THIMBLE_TRY(adapter.rewrite(r));
  }
  return ok();
}

Status upgrade_node(Rewriter& r) {
  // The place of results in memory, which opsets 1 to 5 let a node suggest.
  if (r.opset < 6) r.drop_attribute("consumed_inputs");
  const std::array<std::span<const Adapter>, 5> parts = {attribute_adapters(), default_adapters(),
                                                         broadcast_adapters(), layer_adapters(),
                                                         function_adapters()};
  for (const auto part : parts) THIMBLE_TRY(adapt(r, part));
  return ok();
}

bool is_spectrum(const ir::Node& node) {
  const auto adapters = spectrum_adapters();
  return std::any_of(adapters.begin(), adapters.end(),
                     [&](const Adapter& adapter) { return node.is(adapter.op); });
}

// Fourier transforms need the sizes of what they read, which a file needn't say. What one gives
// has a size once it is rewritten, so a few turns follow transforms of transforms.
Status upgrade_spectra(ir::Model& model, ir::Graph& graph, std::int64_t opset) {
  constexpr int kTurns = 8;
  std::vector<ir::NodeId> open;
  for (const ir::NodeId id : graph.order()) {
    if (is_spectrum(graph.node(id))) open.push_back(id);
  }
  for (int turn = 0; !open.empty(); ++turn) {
    ir::infer_known_shapes(model, graph);
    const auto waits = [&](ir::NodeId id) {
      const auto& inputs = graph.node(id).inputs;
      return !inputs.empty() && inputs[0].valid() && !graph.value(inputs[0]).shape;
    };
    auto ready = std::stable_partition(open.begin(), open.end(), waits);
    if (ready == open.end() || turn == kTurns) ready = open.begin();  // they say what they lack
    for (auto id = ready; id != open.end(); ++id) {
      Rewriter rewriter(model, graph, *id, opset);
      THIMBLE_TRY(adapt(rewriter, spectrum_adapters()));
    }
    open.erase(ready, open.end());
  }
  return ok();
}

Status upgrade_graph(ir::Model& model, ir::Graph& graph, std::int64_t opset) {
  for (const ir::NodeId id : graph.order()) {
    if (!graph.node(id).domain.empty()) continue;
    Rewriter rewriter(model, graph, id, opset);
    THIMBLE_TRY(upgrade_node(rewriter));
  }
  return upgrade_spectra(model, graph, opset);
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

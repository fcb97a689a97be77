#include "formats/onnx/contrib.h"

#include <array>

#include "formats/onnx/unread.h"

namespace thimble::formats::onnx {
namespace {

// ONNX Runtime's exporters put this one into the default domain, too.
bool is_contrib(const ir::Node& node) {
  return node.domain == "com.microsoft" ||
         (node.domain.empty() && node.op == "SimplifiedLayerNormalization");
}

Status rewrite_node(Rewriter& r) {
  const std::array<std::span<const Adapter>, 7> parts = {
      norm_contribs(),      product_contribs(),     blockwise_contribs(), quantized_contribs(),
      attention_contribs(), group_query_contribs(), expert_contribs()};
  for (const auto part : parts) {
    for (const Adapter& adapter : part) {
      if (r.node().op == adapter.op) return adapter.rewrite(r);
    }
  }
  return ok();
}

Status rewrite_graph(ir::Model& model, ir::Graph& graph, bool& any) {
  for (const ir::NodeId id : graph.order()) {
    if (!is_contrib(graph.node(id))) continue;
    any = true;
    Rewriter rewriter(model, graph, id, 23);
    THIMBLE_TRY(rewrite_node(rewriter));
  }
  return ok();
}

}  // namespace

Status rewrite_contrib(ir::Model& model) {
  const HeldWeights before(model);
  bool any = false;
  THIMBLE_TRY(rewrite_graph(model, model.graph, any));
  for (ir::Graph& body : model.graphs) THIMBLE_TRY(rewrite_graph(model, body, any));
  if (any) before.drop_unread(model);
  return ok();
}

}  // namespace thimble::formats::onnx

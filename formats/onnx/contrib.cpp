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

// The nodes that give the node its inputs' types and dims. Rewriting may look through those.
std::vector<ir::NodeId> forms_of_inputs(const ir::Graph& graph, ir::NodeId id) {
  std::vector<ir::NodeId> out;
  for (const ir::ValueId input : graph.node(id).inputs) {
    const ir::NodeId producer = input.valid() ? graph.value(input).producer : ir::NodeId{};
    if (!producer.valid()) continue;
    const ir::Node& node = graph.node(producer);
    if (node.is("Cast") || node.is("Reshape")) out.push_back(producer);
  }
  return out;
}

Status rewrite_graph(ir::Model& model, ir::Graph& graph, bool& any) {
  for (const ir::NodeId id : graph.order()) {
    if (!is_contrib(graph.node(id))) continue;
    any = true;
    const std::vector<ir::NodeId> forms = forms_of_inputs(graph, id);
    Rewriter rewriter(model, graph, id, 23);
    THIMBLE_TRY(rewrite_node(rewriter));
    for (const ir::NodeId form : forms) {
      if (graph.alive(form) && is_unread(model, graph, form)) graph.erase(form);
    }
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

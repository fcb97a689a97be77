#include "formats/onnx/unread.h"

#include <algorithm>

namespace thimble::formats::onnx {
namespace {

using Weights = std::set<std::uint32_t>;  // by index

void add_constants(const ir::Graph& graph, Weights& held) {
  for (const ir::ValueId value : graph.constants()) held.insert(graph.value(value).weight.index);
}

void add_attributes(const ir::Graph& graph, Weights& held) {
  for (const ir::NodeId id : graph.order()) {
    for (const ir::Attribute& attribute : graph.node(id).attributes) {
      if (const auto* weight = std::get_if<ir::WeightId>(&attribute.value))
        held.insert(weight->index);
    }
  }
}

Weights held_by_constants(const ir::Model& model) {
  Weights held;
  add_constants(model.graph, held);
  for (const ir::Graph& body : model.graphs) add_constants(body, held);
  return held;
}

}  // namespace

bool is_unread(const ir::Model& model, const ir::Graph& graph, ir::NodeId id) {
  const std::vector<ir::ValueId>& outputs = graph.node(id).outputs;
  return std::all_of(outputs.begin(), outputs.end(), [&](ir::ValueId value) {
    return !value.valid() || (graph.users(value).empty() && !graph.is_output(value) &&
                              !ir::is_captured(model, graph, value));
  });
}

HeldWeights::HeldWeights(const ir::Model& model) : held_(held_by_constants(model)) {}

void HeldWeights::drop_unread(ir::Model& model) const {
  ir::erase_unused_constants(model, model.graph);
  for (ir::Graph& body : model.graphs) ir::erase_unused_constants(model, body);
  Weights held = held_by_constants(model);
  add_attributes(model.graph, held);
  for (const ir::Graph& body : model.graphs) add_attributes(body, held);
  for (const std::uint32_t index : held_) {
    if (!held.contains(index)) model.weights[index] = {};
  }
}

}  // namespace thimble::formats::onnx

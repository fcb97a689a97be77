#include "formats/onnx/unread.h"

#include <algorithm>

namespace thimble::formats::onnx {
namespace {

void add_held(const ir::Graph& graph, bool attributes, std::set<std::uint32_t>& held) {
  for (const ir::ValueId value : graph.constants()) held.insert(graph.value(value).weight.index);
  if (!attributes) return;
  for (const ir::NodeId id : graph.order()) {
    for (const ir::Attribute& attribute : graph.node(id).attributes) {
      if (const auto* weight = std::get_if<ir::WeightId>(&attribute.value))
        held.insert(weight->index);
    }
  }
}

std::set<std::uint32_t> held_by(const ir::Model& model, bool attributes) {
  std::set<std::uint32_t> held;
  add_held(model.graph, attributes, held);
  for (const ir::Graph& body : model.graphs) add_held(body, attributes, held);
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

HeldWeights::HeldWeights(const ir::Model& model) : held_(held_by(model, false)) {}

void HeldWeights::drop_unread(ir::Model& model) const {
  ir::erase_unused_constants(model, model.graph);
  for (ir::Graph& body : model.graphs) ir::erase_unused_constants(model, body);
  const std::set<std::uint32_t> held = held_by(model, true);
  for (const std::uint32_t index : held_) {
    if (!held.contains(index)) model.weights[index] = {};
  }
}

}  // namespace thimble::formats::onnx

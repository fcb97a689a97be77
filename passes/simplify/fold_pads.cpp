// fold-pads: a Pad with zeros goes into the pads of the convolution, or of the average pool that
// counts its padding, that alone reads it.

#include "ir/algebra.h"
#include "passes/registrations.h"
#include "passes/simplify/rewrite.h"

namespace thimble::passes {
namespace {

using Numbers = std::vector<std::int64_t>;

// The pads of the spatial axes, when they are all that is padded, with zeros.
std::optional<Numbers> spatial_pads(const ir::Model& model, const ir::Graph& graph,
                                    const ir::Node& pad) {
  const auto pads = constant_integers(model, graph, pad.inputs[1]);
  const bool filled = pad.inputs.size() > 2 && pad.inputs[2].valid() &&
                      ir::Algebra(model, graph).number(pad.inputs[2]) != 0.0;
  const bool some_axes = pad.inputs.size() > 3 && pad.inputs[3].valid();
  if (!pads || filled || some_axes || pad.text("mode", "constant") != "constant" ||
      pads->size() < 6 || pads->size() % 2 != 0)
    return std::nullopt;
  const std::size_t rank = pads->size() / 2;
  Numbers spatial;
  for (std::size_t i = 0; i < pads->size(); ++i) {
    const bool outer = i % rank < 2;
    if ((*pads)[i] < 0 || (outer && (*pads)[i] != 0)) return std::nullopt;
    if (!outer) spatial.push_back((*pads)[i]);
  }
  return spatial;
}

bool takes_pads(const ir::Node& node) {
  const std::string_view automatic = node.text("auto_pad", "NOTSET");
  if (automatic != "NOTSET" && automatic != "VALID") return false;
  return node.is("Conv") || (node.is("AveragePool") && node.integer("count_include_pad", 0) == 1 &&
                             node.integer("ceil_mode", 0) == 0);
}

Expected<std::int64_t> fold(ir::Model& model, ir::Graph& graph) {
  std::int64_t folded = 0;
  for (const ir::NodeId id : graph.order()) {
    const ir::Node node = graph.node(id);
    if (!takes_pads(node) || !graph.value(node.inputs[0]).producer.valid()) continue;
    const ir::NodeId producer = graph.value(node.inputs[0]).producer;
    const ir::Node pad = graph.node(producer);
    if (!pad.is("Pad") || !only_read_by(model, graph, node.inputs[0], id)) continue;
    auto pads = spatial_pads(model, graph, pad);
    const Numbers own = node.integers("pads");
    if (!pads || (!own.empty() && own.size() != pads->size())) continue;
    for (std::size_t i = 0; i < own.size(); ++i) (*pads)[i] += own[i];
    std::vector<ir::Attribute> attributes = node.attributes;
    std::erase_if(attributes, [](const ir::Attribute& attribute) {
      return attribute.name == "pads" || attribute.name == "auto_pad";
    });
    attributes.push_back({"pads", *std::move(pads)});
    std::vector<ir::ValueId> inputs = node.inputs;
    inputs[0] = pad.inputs[0];
    replace_node(model, graph, id, node.op, std::move(inputs), std::move(attributes));
    graph.erase(producer);
    ++folded;
  }
  return folded;
}

}  // namespace

pass::Registration fold_pads() {
  return rewrite("fold-pads", "Fold Pad into the convolution or average pool that reads it", fold);
}

}  // namespace thimble::passes

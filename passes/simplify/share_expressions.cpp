// share-expressions: of nodes that compute the same from the same, the first computes it for all
// (common subexpressions). Nodes that draw random numbers or hold bodies stay apart.

#include <cstring>
#include <unordered_map>

#include "passes/registrations.h"
#include "passes/simplify/rewrite.h"

namespace thimble::passes {
namespace {

void put(std::string& key, std::string_view text) {
  key += std::to_string(text.size()) + ":";
  key += text;
}

void put(std::string& key, float value) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  key += std::to_string(bits) + ",";
}

void put(std::string& key, std::int64_t value) { key += std::to_string(value) + ","; }

void put(std::string& key, const std::string& text) { put(key, std::string_view(text)); }

void put(std::string& key, ir::WeightId id) { put(key, static_cast<std::int64_t>(id.index)); }

void put(std::string&, ir::GraphId) {}  // not asked for: nodes with bodies stay

template <class T>
void put(std::string& key, const std::vector<T>& values) {
  key += "[" + std::to_string(values.size()) + " ";
  for (const T& value : values) put(key, value);
  key += "]";
}

bool repeats(const ir::Node& node) {
  static constexpr std::string_view kDraws[] = {"RandomNormal", "RandomUniform", "Multinomial",
                                                "Bernoulli", "Dropout"};
  for (const std::string_view op : kDraws) {
    if (node.op.substr(0, op.size()) == op) return false;
  }
  return ir::bodies(node).empty();
}

std::string key_of(const ir::Node& node) {
  std::string key;
  put(key, node.domain);
  put(key, node.op);
  for (const ir::ValueId input : node.inputs) put(key, static_cast<std::int64_t>(input.index));
  for (const ir::ValueId output : node.outputs) key += output.valid() ? "+" : "-";
  for (const ir::Attribute& attribute : node.attributes) {
    put(key, attribute.name);
    key += std::to_string(attribute.value.index()) + " ";
    std::visit([&](const auto& value) { put(key, value); }, attribute.value);
  }
  return key;
}

Expected<std::int64_t> share(ir::Model& model, ir::Graph& graph) {
  std::int64_t shared = 0;
  std::unordered_map<std::string, ir::NodeId> seen;
  for (const ir::NodeId id : graph.order()) {
    const ir::Node node = graph.node(id);
    if (!repeats(node)) continue;
    const auto [place, fresh] = seen.emplace(key_of(node), id);
    if (fresh) continue;
    bool output = false;
    for (const ir::ValueId result : node.outputs)
      output = output || (result.valid() && graph.is_output(result));
    if (output) continue;
    const ir::Node first = graph.node(place->second);
    for (std::size_t i = 0; i < node.outputs.size(); ++i) {
      if (node.outputs[i].valid())
        ir::replace_uses(model, graph, node.outputs[i], first.outputs[i]);
    }
    graph.erase(id);
    ++shared;
  }
  return shared;
}

}  // namespace

pass::Registration share_expressions() {
  return rewrite("share-expressions", "Compute once what several nodes compute alike", share);
}

}  // namespace thimble::passes

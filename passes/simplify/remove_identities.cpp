// remove-identities: nodes that give back what they take go: Identity, Dropout, and layout and
// arithmetic that changes nothing: a Reshape to the shape that is there, a Cast to the same type, a
// Transpose that keeps the order, an Expand, Tile, Pad or Slice of everything, a Concat of one, a
// sum with 0, a product with 1.

#include <algorithm>

#include "ir/algebra.h"
#include "passes/registrations.h"
#include "passes/simplify/rewrite.h"

namespace thimble::passes {
namespace {

using ir::ValueId;

bool all_are(const std::optional<std::vector<std::int64_t>>& values, std::int64_t wanted) {
  return values && std::all_of(values->begin(), values->end(),
                               [&](std::int64_t value) { return value == wanted; });
}

bool has_input(const ir::Node& node, std::size_t input) {
  return node.inputs.size() > input && node.inputs[input].valid();
}

class Matcher {
 public:
  Matcher(const ir::Model& model, const ir::Graph& graph)
      : model_(model), graph_(graph), algebra_(model, graph) {}

  // The input that the first result equals.
  std::optional<ValueId> same_as(const ir::Node& node) const {
    if (node.inputs.empty() || !node.inputs[0].valid() || node.outputs.empty() ||
        !node.outputs[0].valid() || !node.domain.empty())
      return std::nullopt;
    if (node.is("Identity") || is_idle_dropout(node)) return node.inputs[0];
    for (std::size_t i = 0; i < std::min<std::size_t>(node.inputs.size(), 2); ++i) {
      if (!node.inputs[i].valid() || !same_kind(graph_, node.inputs[i], node.outputs[0])) continue;
      if (keeps(node, i)) return node.inputs[i];
    }
    return std::nullopt;
  }

 private:
  bool is_idle_dropout(const ir::Node& node) const {
    return node.is("Dropout") && !has_input(node, 2) &&
           (node.outputs.size() < 2 || !node.outputs[1].valid() ||
            (graph_.users(node.outputs[1]).empty() && !graph_.is_output(node.outputs[1])));
  }

  // Is the result, of the same type and shape as input `i`, that input?
  bool keeps(const ir::Node& node, std::size_t i) const {
    const auto by = [&](double number) {
      return node.inputs.size() == 2 && algebra_.number(node.inputs[1 - i]) == number;
    };
    if (node.is("Add")) return by(0);
    if (node.is("Mul")) return by(1);
    if (i > 0) return false;
    if (node.is("Sub")) return by(0);
    if (node.is("Div") || node.is("Pow")) return by(1);
    static constexpr std::string_view kBySize[] = {"Reshape", "Flatten",  "Squeeze", "Unsqueeze",
                                                   "Cast",    "CastLike", "Expand",  "Tile"};
    static constexpr std::string_view kOfOne[] = {"Concat", "Sum", "Max", "Min", "Mean"};
    if (std::find(std::begin(kBySize), std::end(kBySize), node.op) != std::end(kBySize))
      return true;
    if (std::find(std::begin(kOfOne), std::end(kOfOne), node.op) != std::end(kOfOne))
      return node.inputs.size() == 1;
    if (node.is("Transpose")) return keeps_order(node);
    if (node.is("Pad")) return has_input(node, 1) && all_are(integers(node, 1), 0);
    if (node.is("Slice"))  // of the whole length with step 1
      return !has_input(node, 4) || all_are(integers(node, 4), 1);
    return false;
  }

  bool keeps_order(const ir::Node& transpose) const {
    const std::vector<std::int64_t> perm = transpose.integers("perm");
    const auto& shape = graph_.value(transpose.inputs[0]).shape;
    if (perm.empty()) return shape->size() < 2;
    return std::is_sorted(perm.begin(), perm.end());
  }

  std::optional<std::vector<std::int64_t>> integers(const ir::Node& node, std::size_t i) const {
    return constant_integers(model_, graph_, node.inputs[i]);
  }

  const ir::Model& model_;
  const ir::Graph& graph_;
  ir::Algebra algebra_;
};

Expected<std::int64_t> remove(ir::Model& model, ir::Graph& graph) {
  std::int64_t removed = 0;
  for (const ir::NodeId id : graph.order()) {
    const ir::Node node = graph.node(id);
    const auto same = Matcher(model, graph).same_as(node);
    if (same && bypass(model, graph, id, *same)) ++removed;
  }
  if (removed > 0) ir::erase_unused_constants(model, graph);
  return removed;
}

}  // namespace

pass::Registration remove_identities() {
  return rewrite("remove-identities", "Drop nodes that give back what they take", remove);
}

}  // namespace thimble::passes

// fold-branches: an If whose condition is a constant gives way to the nodes of the branch that it
// takes. Exporters that trace a script leave such questions behind, about sizes and flags that were
// settled long before.

#include <string>
#include <utility>
#include <vector>

#include "passes/registrations.h"
#include "passes/simplify/rewrite.h"

namespace thimble::passes {
namespace {

using ir::ValueId;

std::optional<bool> known_condition(const ir::Model& model, const ir::Graph& graph, ValueId id) {
  if (!id.valid() || !graph.value(id).weight.valid()) return std::nullopt;
  const ir::Weight& weight = model.weight(graph.value(id).weight);
  if (weight.source == nullptr || weight.dtype != ir::DType::kBool || weight.element_count() != 1)
    return std::nullopt;
  const auto values = ir::read_floats(weight);
  return values ? std::optional((*values)[0] != 0) : std::nullopt;
}

std::optional<ir::GraphId> body_of(const ir::Node& node, std::string_view attribute) {
  const ir::AttributeValue* found = node.find(attribute);
  const auto* id = found == nullptr ? nullptr : std::get_if<ir::GraphId>(found);
  return id == nullptr ? std::nullopt : std::optional(*id);
}

// Moves a body's nodes into the graph around it, before the node that it was a body of.
class Inliner {
 public:
  Inliner(ir::Model& model, ir::Graph& graph, ir::NodeId place, ir::GraphId body)
      : model_(model),
        graph_(graph),
        place_(place),
        body_(model.graphs[body.index]),
        moved_(body_.value_capacity()) {}

  // The body's outputs, as values of the graph. The body's nodes are still there, and must go.
  std::vector<ValueId> run() {
    for (const ValueId capture : body_.captures())
      moved_[capture.index] = *graph_.find_value(body_.value(capture).name);
    for (const ValueId constant : body_.constants()) move_constant(constant);
    for (const ir::NodeId id : body_.order()) move_node(id);
    std::vector<ValueId> outputs;
    for (const ValueId output : body_.outputs()) outputs.push_back(moved_[output.index]);
    return outputs;
  }

 private:
  // Bodies further inside know a value by its name, so that it is changed there first where the
  // graph has one of the same name.
  std::string free_name(ValueId value) {
    const std::string name = body_.value(value).name;
    std::string free = name;
    for (int i = 1; graph_.find_value(free); ++i) free = name + "." + std::to_string(i);
    if (free != name) ir::rename(model_, body_, value, free);
    return body_.value(value).name;
  }

  void move_constant(ValueId id) {
    const std::string name = free_name(id);
    const ir::Value& value = body_.value(id);
    moved_[id.index] = graph_.add_constant(value.weight, name, value.dtype, *value.shape);
  }

  void move_node(ir::NodeId id) {
    std::vector<std::string> names;
    for (const ValueId output : body_.node(id).outputs)
      names.push_back(output.valid() ? free_name(output) : "");
    ir::Node node = body_.node(id);
    for (ValueId& input : node.inputs)
      if (input.valid()) input = moved_[input.index];
    const std::vector<ValueId> old = std::exchange(node.outputs, {});
    const ir::NodeId made = graph_.insert_before(place_, std::move(node), names);
    for (std::size_t i = 0; i < old.size(); ++i) {
      if (!old[i].valid()) continue;
      const ValueId result = graph_.node(made).outputs[i];
      const ir::Value& from = body_.value(old[i]);
      ir::Value& to = graph_.value(result);
      to.dtype = from.dtype;
      to.shape = from.shape;
      to.activation = from.activation;
      to.static_scale = from.static_scale;
      moved_[old[i].index] = result;
    }
  }

  ir::Model& model_;
  ir::Graph& graph_;
  ir::NodeId place_;
  ir::Graph& body_;
  std::vector<ValueId> moved_;  // by the body's ValueId
};

// The result of an If becomes an Identity of the branch's: names of outputs stay, and the Identity
// goes where it can.
void hand_over(ir::Model& model, ir::Graph& graph, ir::NodeId place, ValueId result, ValueId from) {
  const std::string name = graph.value(result).name;
  ir::Node identity{"", "Identity", name, {from}, {}, {}};
  const ir::NodeId made = graph.insert_before(place, std::move(identity), {name + ".taken"});
  const ValueId value = graph.node(made).outputs[0];
  graph.value(value).dtype = graph.value(from).dtype;
  graph.value(value).shape = graph.value(from).shape;
  ir::replace_uses(model, graph, result, value);
  graph.rename(result, name + ".folded");
  ir::rename(model, graph, value, name);
}

Expected<std::int64_t> fold(ir::Model& model, ir::Graph& graph) {
  std::int64_t folded = 0;
  for (const ir::NodeId id : graph.order()) {
    const ir::Node node = graph.node(id);
    if (!node.is("If") || node.inputs.empty()) continue;
    const std::optional<bool> condition = known_condition(model, graph, node.inputs[0]);
    const auto yes = body_of(node, "then_branch"), no = body_of(node, "else_branch");
    if (!condition || !yes || !no) continue;
    const std::vector<ValueId> outputs = Inliner(model, graph, id, *condition ? *yes : *no).run();
    for (std::size_t i = 0; i < node.outputs.size() && i < outputs.size(); ++i)
      if (node.outputs[i].valid()) hand_over(model, graph, id, node.outputs[i], outputs[i]);
    graph.erase(id);
    for (const ir::GraphId body : {*yes, *no}) model.graphs[body.index] = {};
    ++folded;
  }
  if (folded > 0) ir::erase_unused_constants(model, graph);
  return folded;
}

}  // namespace

pass::Registration fold_branches() {
  return rewrite("fold-branches",
                 "Put the branch that a constant condition takes in its If's place", fold);
}

}  // namespace thimble::passes

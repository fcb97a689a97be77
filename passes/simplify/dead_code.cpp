// remove-dead-code: drops nodes whose results nobody uses, constants without users, bodies of no
// node, and weights that no graph refers to any more.

#include <algorithm>
#include <vector>

#include "passes/registrations.h"

namespace thimble::passes {
namespace {

// Users come after their producers, so one walk from the end finds whole chains.
std::int64_t erase_dead_nodes(ir::Model& model, ir::Graph& graph) {
  std::int64_t erased = 0;
  std::vector<bool> read(graph.value_capacity());
  for (const ir::ValueId output : graph.outputs()) read[output.index] = true;
  const std::vector<ir::NodeId> order = graph.order();
  for (auto id = order.rbegin(); id != order.rend(); ++id) {
    const ir::Node& node = graph.node(*id);
    const bool used =
        std::any_of(node.outputs.begin(), node.outputs.end(),
                    [&](ir::ValueId output) { return output.valid() && read[output.index]; });
    if (used) {
      for (const ir::ValueId value : ir::reads_of(model, graph, node)) read[value.index] = true;
    } else {
      graph.erase(*id);
      ++erased;
    }
  }
  ir::erase_unused_constants(model, graph);
  return erased;
}

void mark_weights(const ir::Graph& graph, std::vector<bool>& used) {
  for (const ir::ValueId id : graph.constants()) used[graph.value(id).weight.index] = true;
  for (const ir::NodeId id : graph.order()) {
    for (const ir::Attribute& attribute : graph.node(id).attributes) {
      const auto* weight = std::get_if<ir::WeightId>(&attribute.value);
      if (weight != nullptr) used[weight->index] = true;
    }
  }
}

std::int64_t erase_dead_weights(ir::Model& model) {
  std::vector<bool> used(model.weights.size());
  mark_weights(model.graph, used);
  for (const ir::Graph& body : model.graphs) mark_weights(body, used);
  std::int64_t erased = 0;
  for (std::size_t i = 0; i < used.size(); ++i) {
    const bool alive = model.weights[i].source != nullptr || !model.weights[i].name.empty();
    if (used[i] || !alive) continue;
    model.weights[i] = {};
    ++erased;
  }
  return erased;
}

void mark_bodies(const ir::Model& model, const ir::Graph& graph, std::vector<bool>& used) {
  for (const ir::NodeId id : graph.order()) {
    for (const ir::GraphId body : ir::bodies(graph.node(id))) {
      used[body.index] = true;
      mark_bodies(model, model.graphs[body.index], used);
    }
  }
}

void renumber_bodies(ir::Graph& graph, const std::vector<ir::GraphId>& now) {
  for (const ir::NodeId id : graph.order()) {
    graph.edit(id, [&](ir::Node& node) {
      for (ir::Attribute& attribute : node.attributes) {
        if (auto* body = std::get_if<ir::GraphId>(&attribute.value)) *body = now[body->index];
      }
    });
  }
}

// Bodies of nodes that are gone.
std::int64_t erase_dead_bodies(ir::Model& model) {
  std::vector<bool> used(model.graphs.size());
  mark_bodies(model, model.graph, used);
  std::vector<ir::GraphId> now(used.size());
  std::vector<ir::Graph> kept;
  for (std::size_t i = 0; i < used.size(); ++i) {
    if (!used[i]) continue;
    now[i] = ir::GraphId{static_cast<std::uint32_t>(kept.size())};
    kept.push_back(std::move(model.graphs[i]));
  }
  const auto erased = static_cast<std::int64_t>(used.size() - kept.size());
  model.graphs = std::move(kept);
  renumber_bodies(model.graph, now);
  for (ir::Graph& body : model.graphs) renumber_bodies(body, now);
  return erased;
}

class DeadCode : public pass::Pass {
 public:
  Status configure(const pass::Options&) override { return ok(); }
  Status run(ir::Model& model, pass::Context&, pass::Report& report) override {
    std::int64_t& changes = report.current().changes;
    changes += erase_dead_nodes(model, model.graph);
    for (ir::Graph& body : model.graphs) changes += erase_dead_nodes(model, body);
    changes += erase_dead_bodies(model);
    changes += erase_dead_weights(model);
    return ok();
  }
};

}  // namespace

pass::Registration dead_code() {
  return {{.name = "remove-dead-code",
           .summary = "Drop nodes, bodies, constants and weights that nothing uses",
           .kind = pass::Kind::kRewrite,
           .options = {}},
          [] { return std::unique_ptr<pass::Pass>(new DeadCode); }};
}

}  // namespace thimble::passes

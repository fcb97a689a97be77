#include "passes/simplify/rewrite.h"

#include <algorithm>

namespace thimble::passes {
namespace {

using Change = Expected<std::int64_t> (*)(ir::Model&, ir::Graph&);

class Rewrite : public pass::Pass {
 public:
  explicit Rewrite(Change change) : change_(change) {}
  Status configure(const pass::Options&) override { return ok(); }
  Status run(ir::Model& model, pass::Context&, pass::Report& report) override {
    std::int64_t changes = 0;
    THIMBLE_ASSIGN(changes, change_(model, model.graph));
    for (ir::Graph& body : model.graphs) {
      THIMBLE_ASSIGN(const std::int64_t inside, change_(model, body));
      changes += inside;
    }
    report.current().changes = changes;
    return changes > 0 ? ir::infer_shapes(model) : ok();
  }

 private:
  Change change_;
};

}  // namespace

pass::Registration rewrite(std::string name, std::string summary, Change change) {
  return {{.name = std::move(name),
           .summary = std::move(summary),
           .kind = pass::Kind::kRewrite,
           .options = {}},
          [change] { return std::unique_ptr<pass::Pass>(new Rewrite(change)); }};
}

bool is_used(const ir::Model& model, const ir::Graph& graph, const ir::Node& node) {
  return std::any_of(node.outputs.begin(), node.outputs.end(), [&](ir::ValueId output) {
    return output.valid() && (graph.is_output(output) || !graph.users(output).empty() ||
                              ir::is_captured(model, graph, output));
  });
}

bool same_kind(const ir::Graph& graph, ir::ValueId a, ir::ValueId b) {
  const ir::Value &left = graph.value(a), &right = graph.value(b);
  return left.dtype == right.dtype && left.shape && right.shape && *left.shape == *right.shape;
}

ir::NodeId replace_node(ir::Model& model, ir::Graph& graph, ir::NodeId old, std::string op,
                        std::vector<ir::ValueId> inputs, std::vector<ir::Attribute> attributes) {
  const ir::ValueId result = graph.node(old).outputs[0];
  const std::string name = graph.value(result).name;
  ir::Node node{.domain = "",
                .op = std::move(op),
                .name = graph.node(old).name,
                .inputs = std::move(inputs),
                .outputs = {},
                .attributes = std::move(attributes)};
  const ir::NodeId fresh = graph.insert_before(old, std::move(node), {name});
  const ir::ValueId made = graph.node(fresh).outputs[0];
  graph.value(made).dtype = graph.value(result).dtype;
  graph.value(made).shape = graph.value(result).shape;
  ir::replace_uses(model, graph, result, made);
  graph.erase(old);
  ir::rename(model, graph, made, name);
  return fresh;
}

bool bypass(ir::Model& model, ir::Graph& graph, ir::NodeId node, ir::ValueId with) {
  const ir::ValueId result = graph.node(node).outputs[0];
  if (!graph.is_output(result)) {
    ir::replace_uses(model, graph, result, with);
    graph.erase(node);
    return true;
  }
  if (!graph.value(with).producer.valid() || graph.is_output(with)) return false;
  const std::string name = graph.value(result).name;
  ir::replace_uses(model, graph, result, with);
  graph.erase(node);
  ir::rename(model, graph, with, name);
  return true;
}

bool only_read_by(const ir::Model& model, const ir::Graph& graph, ir::ValueId value,
                  ir::NodeId node) {
  const std::vector<ir::NodeId> users = graph.users(value);
  return users.size() == 1 && users[0] == node && !graph.is_output(value) &&
         !ir::is_captured(model, graph, value);
}

std::optional<std::vector<std::int64_t>> constant_integers(const ir::Model& model,
                                                           const ir::Graph& graph, ir::ValueId id) {
  if (!id.valid() || !graph.value(id).weight.valid()) return std::nullopt;
  const ir::Weight& weight = model.weight(graph.value(id).weight);
  const bool small = weight.source != nullptr && weight.element_count() <= 4096;
  if (!small || dtype_is_float(weight.dtype)) return std::nullopt;
  auto values = ir::read_integers(weight);
  return values ? std::optional(*std::move(values)) : std::nullopt;
}

std::optional<std::vector<std::int64_t>> reshape_target(const ir::Shape& from,
                                                        const ir::Shape& to) {
  std::vector<std::int64_t> target;
  bool open = false, copies = false, empty = false;
  for (std::size_t i = 0; i < to.size(); ++i) {
    if (const auto size = to[i].constant()) {
      empty = empty || *size == 0;
      target.push_back(*size);
    } else if (i < from.size() && from[i] == to[i]) {
      copies = true;
      target.push_back(0);
    } else {
      if (open) return std::nullopt;
      open = true;
      target.push_back(-1);
    }
  }
  if (empty && (open || copies || !std::all_of(from.begin(), from.end(), [](const ir::Dim& dim) {
                  return dim.is_constant();
                })))
    return std::nullopt;
  return target;
}

bool become_reshape(ir::Model& model, ir::Graph& graph, ir::NodeId node, ir::ValueId x) {
  const ir::Value& result = graph.value(graph.node(node).outputs[0]);
  const auto &from = graph.value(x).shape, &to = result.shape;
  const auto target = from && to ? reshape_target(*from, *to) : std::nullopt;
  if (!target) return false;
  const auto size = static_cast<std::int64_t>(target->size());
  const ir::ValueId shape =
      ir::add_constant(model, graph, ir::make_dense(result.name + ".shape", {size}, *target));
  replace_node(model, graph, node, "Reshape", {x, shape}, {});
  return true;
}

}  // namespace thimble::passes

#include "ir/model.h"
#include "ir/ops/schema.h"
#include "ir/ops/shape_context.h"

namespace thimble::ir {
namespace {

Error blame(Error error, const Node& node) {
  const std::string name = node.name.empty() ? node.op : node.name;
  return std::move(error).at_tensor(name).note("in operator " + node.op);
}

Error unknown_operator(const Node& node) {
  std::vector<std::string> names;
  for (const OpSchema& schema : operators()) names.emplace_back(schema.name);
  const std::string near = nearest(node.op, names);
  std::string text = "operator " + (node.domain.empty() ? "" : node.domain + "::") + node.op;
  text += " is unknown";
  if (!near.empty() && near != node.op) text += " (did you mean '" + near + "'?)";
  return unsupported(std::move(text));
}

Status check_arity(const Graph& graph, const Node& node, const OpSchema& schema) {
  const auto count = static_cast<int>(node.inputs.size());
  if (count < schema.min_inputs || count > schema.max_inputs) {
    return invalid_file("there are " + std::to_string(count) + " inputs");
  }
  if (static_cast<int>(node.outputs.size()) < schema.min_outputs) {
    return invalid_file("there are no results");
  }
  for (int i = 0; i < count; ++i) {
    const ValueId input = node.inputs[static_cast<std::size_t>(i)];
    const bool optional = i >= schema.min_inputs && schema.max_inputs != kAnyNumber;
    if (!input.valid() && !optional)
      return invalid_file("input " + std::to_string(i) + " is missing");
    if (input.valid() && !graph.value(input).shape) {
      return unsupported("the shape of '" + graph.value(input).name + "' is not known");
    }
  }
  return ok();
}

Status check_result(const ShapeContext::Result& result) {
  for (const Dim& dim : result.shape) {
    if (dim.constant().value_or(0) < 0) {
      return invalid_file("the result's shape would be " + to_string(result.shape));
    }
  }
  return ok();
}

// Elements are followed only while they are few and as many as the shape says.
bool worth_following(const ShapeContext::Result& result) {
  return result.data && result.data->size() <= ShapeContext::kMostData &&
         element_count(result.shape) == Dim(static_cast<std::int64_t>(result.data->size()));
}

Status infer_node(Model& model, Graph& graph, NodeId id,
                  std::vector<std::optional<DimData>>& data) {
  const Node& node = graph.node(id);
  const OpSchema* schema = find_operator(node.domain, node.op);
  if (schema == nullptr) return unknown_operator(node);
  THIMBLE_TRY(check_arity(graph, node, *schema));
  ShapeContext context(model, graph, node, data);
  THIMBLE_TRY(schema->infer(context));
  std::vector<ShapeContext::Result>& results = context.results();
  if (results.size() < node.outputs.size()) {
    return invalid_file("there are " + std::to_string(node.outputs.size()) + " results");
  }
  for (std::size_t i = 0; i < node.outputs.size(); ++i) {
    const ValueId output = node.outputs[i];
    if (!output.valid()) continue;
    THIMBLE_TRY(check_result(results[i]));
    if (worth_following(results[i])) data[output.index] = std::move(results[i].data);
    graph.value(output).dtype = results[i].dtype;
    graph.value(output).shape = std::move(results[i].shape);
  }
  return ok();
}

Expected<std::vector<std::optional<DimData>>> infer_graph(Model& model, Graph& graph) {
  for (const ValueId id : graph.constants()) {
    Value& value = graph.value(id);
    const Weight& weight = model.weight(value.weight);
    value.dtype = constant_type(model, weight);
    value.shape = Shape(weight.dims.begin(), weight.dims.end());
  }
  std::vector<std::optional<DimData>> data(graph.value_capacity());
  for (const NodeId id : graph.order()) {
    if (Status status = infer_node(model, graph, id, data); !status) {
      return blame(std::move(status).error(), graph.node(id));
    }
  }
  return data;
}

}  // namespace

Expected<std::vector<std::optional<DimData>>> infer_data(Model& model) {
  return infer_graph(model, model.graph);
}

Status infer_shapes(Model& model) {
  THIMBLE_TRY(infer_graph(model, model.graph));
  for (Graph& graph : model.graphs) THIMBLE_TRY(infer_graph(model, graph));
  return ok();
}

}  // namespace thimble::ir

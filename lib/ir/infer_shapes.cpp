#include <algorithm>

#include "ir/dim_range.h"
#include "ir/label.h"
#include "ir/model.h"
#include "ir/ops/schema.h"
#include "ir/ops/shape_context.h"

namespace thimble::ir {
namespace {

Error unknown_operator(const Node& node) {
  std::vector<std::string> names;
  for (const OpSchema& schema : operators()) names.emplace_back(schema.name);
  const std::string near = nearest(node.op, names);
  std::string text = "operator " + (node.domain.empty() ? "" : node.domain + "::") + node.op;
  text += " is unknown";
  if (!near.empty() && near != node.op) text += " (did you mean '" + near + "'?)";
  return unsupported(std::move(text))
      .fix(node.domain == "com.microsoft.nchwc"
               ? "save it with ONNX Runtime's optimizations up to extended: all of them fit one "
                 "machine"
               : "export the model without it; docs/CONFORMANCE.md lists what there is");
}

Status check_arity(const Node& node, const OpSchema& schema) {
  const auto count = static_cast<int>(node.inputs.size());
  if (count < schema.min_inputs || count > schema.max_inputs) {
    return invalid_file("there are " + std::to_string(count) + " inputs");
  }
  if (static_cast<int>(node.outputs.size()) < schema.min_outputs) {
    return invalid_file("there are no results");
  }
  for (int i = 0; i < count; ++i) {
    const ValueId input = node.inputs[static_cast<std::size_t>(i)];
    const bool optional = (i >= schema.min_inputs && schema.max_inputs != kAnyNumber) ||
                          (node.is("Loop") && i < 2);  // its rounds, its condition
    if (!input.valid() && !optional)
      return invalid_file("input " + std::to_string(i) + " is missing");
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

bool shapes_known(const Graph& graph, const Node& node) {
  return std::all_of(node.inputs.begin(), node.inputs.end(), [&](ValueId input) {
    return !input.valid() || graph.value(input).shape.has_value();
  });
}

// Results whose shapes are found only as the model runs have a type all the same.
void give_types(Graph& graph, const Node& node, const OpSchema& schema,
                const ShapeContext& context) {
  for (std::size_t i = 0; i < node.outputs.size(); ++i) {
    if (!node.outputs[i].valid()) continue;
    const DType type = schema.type != nullptr ? schema.type(context, i)
                       : !node.inputs.empty() ? context.dtype(0)
                                              : DType::kUndefined;
    graph.value(node.outputs[i]).dtype = type;
    graph.value(node.outputs[i]).shape.reset();
  }
}

Expected<std::vector<std::optional<DimData>>> infer_graph(Model& model, Graph& graph);

bool is_control(const Node& node) { return node.is("If") || node.is("Loop") || node.is("Scan"); }

// What a body's inputs are: types as outside; shapes may change from round to round.
void give_body_inputs(const Graph& graph, const Node& node, Graph& body) {
  const std::vector<ValueId>& inputs = body.inputs();
  const bool loop = node.is("Loop");
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    Value& into = body.value(inputs[i]);
    into.shape.reset();
    if (loop && i < 2) {
      into.dtype = i == 0 ? DType::kI64 : DType::kBool;
      into.shape = Shape();
    } else if (i < node.inputs.size() && node.inputs[i].valid()) {
      into.dtype = graph.value(node.inputs[i]).dtype;
    }
  }
  for (const ValueId capture : body.captures()) {
    const auto outer = graph.find_value(body.value(capture).name);
    if (!outer) continue;
    body.value(capture).dtype = graph.value(*outer).dtype;
    body.value(capture).shape = graph.value(*outer).shape;
  }
}

// If, Loop and Scan: the types of what their bodies give; the shape too, where both branches of an
// If agree on it.
Status infer_control(Model& model, Graph& graph, NodeId id) {
  const Node node = graph.node(id);
  const std::vector<GraphId> parts = bodies(node);
  for (const GraphId part : parts) {
    give_body_inputs(graph, node, model.graphs[part.index]);
    THIMBLE_TRY(infer_graph(model, model.graphs[part.index]));
  }
  const std::size_t skipped = node.is("Loop") ? 1 : 0;  // the condition
  for (std::size_t i = 0; i < node.outputs.size(); ++i) {
    if (!node.outputs[i].valid()) continue;
    Value& out = graph.value(node.outputs[i]);
    out.shape.reset();
    for (std::size_t p = 0; p < parts.size(); ++p) {
      const Graph& body = model.graphs[parts[p].index];
      if (i + skipped >= body.outputs().size()) return invalid_file("a body gives too few results");
      const Value& from = body.value(body.outputs()[i + skipped]);
      if (p > 0 && out.dtype != from.dtype)
        return invalid_file("the branches give results of different types");
      const bool same = node.is("If") && (p == 0 || out.shape == from.shape);
      out.dtype = from.dtype;
      out.shape = same ? from.shape : std::nullopt;
    }
  }
  return ok();
}

// What the user said of sizes settles which of two is the larger.
void settle(ShapeContext::Result& result, const DimRanges& ranges) {
  if (ranges.empty()) return;
  for (Dim& dim : result.shape) dim = simplified(dim, ranges);
  if (!result.data) return;
  for (Dim& dim : *result.data) dim = simplified(dim, ranges);
}

Status infer_node(Model& model, Graph& graph, NodeId id, const DimRanges& ranges,
                  std::vector<std::optional<DimData>>& data) {
  const Node& node = graph.node(id);
  const OpSchema* schema = find_operator(node.domain, node.op);
  if (schema == nullptr) return unknown_operator(node);
  THIMBLE_TRY(check_arity(node, *schema));
  if (is_control(node)) return infer_control(model, graph, id);
  ShapeContext context(model, graph, node, data);
  const bool tried = schema->infer != nullptr && shapes_known(graph, node);
  Status inferred = tried ? schema->infer(context) : ok();
  if (!inferred && inferred.error().code != ErrorCode::kUnsupported) return inferred;
  if (!tried || !inferred) {
    give_types(graph, node, *schema, context);
    return ok();
  }
  std::vector<ShapeContext::Result>& results = context.results();
  if (results.size() < node.outputs.size()) {
    return invalid_file("there are " + std::to_string(node.outputs.size()) + " results");
  }
  for (std::size_t i = 0; i < node.outputs.size(); ++i) {
    const ValueId output = node.outputs[i];
    if (!output.valid()) continue;
    settle(results[i], ranges);
    THIMBLE_TRY(check_result(results[i]));
    if (worth_following(results[i])) data[output.index] = std::move(results[i].data);
    graph.value(output).dtype = results[i].dtype;
    graph.value(output).shape = std::move(results[i].shape);
  }
  return ok();
}

void give_constants(const Model& model, Graph& graph) {
  for (const ValueId id : graph.constants()) {
    Value& value = graph.value(id);
    const Weight& weight = model.weight(value.weight);
    value.dtype = constant_type(model, weight);
    value.shape = Shape(weight.dims.begin(), weight.dims.end());
  }
}

Expected<std::vector<std::optional<DimData>>> infer_graph(Model& model, Graph& graph) {
  give_constants(model, graph);
  const DimRanges ranges = dim_ranges(model.metadata);
  std::vector<std::optional<DimData>> data(graph.value_capacity());
  for (const NodeId id : graph.order()) {
    if (Status status = infer_node(model, graph, id, ranges, data); !status) {
      return about_node(std::move(status).error(), graph, graph.node(id));
    }
  }
  return data;
}

}  // namespace

Expected<std::vector<std::optional<DimData>>> infer_data(Model& model, Graph& graph) {
  return infer_graph(model, graph);
}

Status infer_shapes(Model& model) {
  THIMBLE_TRY(infer_graph(model, model.graph));
  return ok();
}

void infer_known_shapes(Model& model, Graph& graph) {
  give_constants(model, graph);
  const DimRanges ranges = dim_ranges(model.metadata);
  std::vector<std::optional<DimData>> data(graph.value_capacity());
  for (const NodeId id : graph.order()) {
    if (is_control(graph.node(id))) continue;
    std::vector<std::pair<ValueId, Value>> known;
    for (const ValueId output : graph.node(id).outputs) {
      if (output.valid()) known.emplace_back(output, graph.value(output));
    }
    const Status inferred = infer_node(model, graph, id, ranges, data);
    for (const auto& [output, before] : known) {
      Value& value = graph.value(output);
      if (inferred && value.shape) continue;
      value.dtype = before.dtype;
      value.shape = before.shape;
    }
  }
}

}  // namespace thimble::ir

#include "ir/model.h"

#include <algorithm>

namespace thimble::ir {

namespace {

std::optional<ValueId> capture_of(const Graph& body, std::string_view name) {
  for (const ValueId capture : body.captures()) {
    if (body.value(capture).name == name) return capture;
  }
  return std::nullopt;
}

// Every body of the graph's nodes that captures the value, with the capture; once where several
// branches share the body.
std::vector<std::pair<GraphId, ValueId>> captures_of(const Model& model, const Graph& graph,
                                                     std::string_view name) {
  std::vector<std::pair<GraphId, ValueId>> out;
  if (model.graphs.empty()) return out;  // as most are: this is asked of many values
  for (const NodeId id : graph.order()) {
    for (const GraphId body : bodies(graph.node(id))) {
      const auto capture = capture_of(model.graphs[body.index], name);
      if (!capture) continue;
      const std::pair found{body, *capture};
      if (std::find(out.begin(), out.end(), found) == out.end()) out.push_back(found);
    }
  }
  return out;
}

ValueId constant_like(Graph& graph, const Value& like) {
  for (const ValueId id : graph.constants()) {
    if (graph.value(id).weight == like.weight) return id;
  }
  return graph.add_constant(like.weight, like.name, like.dtype, *like.shape);
}

// Makes a body's capture stand for another value of the outer graph: it is renamed, joins a capture
// of that name, or gives way to a constant.
void redirect(Model& model, GraphId id, ValueId capture, const Value& outer) {
  Graph& body = model.graphs[id.index];
  const std::string& name = outer.name;
  const std::optional<ValueId> existing = body.find_value(name);
  if (existing == capture) return;
  const std::optional<ValueId> same =
      outer.weight.valid() ? constant_like(body, outer) : capture_of(body, name);
  if (same) {
    replace_uses(model, body, capture, *same);
    body.erase_capture(capture);
    return;
  }
  if (existing) rename(model, body, *existing, name + ".1");
  rename(model, body, capture, name);
}

}  // namespace

DType constant_type(const Model& model, const Weight& weight) {
  if (!weight.encoding.is_dense()) return DType::kF32;
  const int bits = dtype_bits(weight.dtype);
  const bool told_apart = model.source_format == "onnx" && (bits == 64 || bits <= 8);
  return dtype_is_float(weight.dtype) && !told_apart ? DType::kF32 : weight.dtype;
}

std::vector<GraphId> bodies(const Node& node) {
  std::vector<GraphId> out;
  for (const Attribute& attribute : node.attributes) {
    if (const auto* body = std::get_if<GraphId>(&attribute.value)) out.push_back(*body);
  }
  return out;
}

std::vector<ValueId> reads_of(const Model& model, const Graph& graph, const Node& node) {
  std::vector<ValueId> out;
  for (const ValueId input : node.inputs) {
    if (input.valid()) out.push_back(input);
  }
  for (const GraphId id : bodies(node)) {
    const Graph& body = model.graphs[id.index];
    for (const ValueId capture : body.captures()) {
      if (const auto outer = graph.find_value(body.value(capture).name)) out.push_back(*outer);
    }
  }
  return out;
}

void rename(Model& model, Graph& graph, ValueId value, std::string name) {
  const auto captures = captures_of(model, graph, graph.value(value).name);
  graph.rename(value, std::move(name));
  for (const auto& [body, capture] : captures) {
    redirect(model, body, capture, graph.value(value));
  }
}

void replace_uses(Model& model, Graph& graph, ValueId from, ValueId to) {
  for (const auto& [body, capture] : captures_of(model, graph, graph.value(from).name)) {
    redirect(model, body, capture, graph.value(to));
  }
  graph.replace_uses(from, to);
}

bool is_captured(const Model& model, const Graph& graph, ValueId value) {
  return !captures_of(model, graph, graph.value(value).name).empty();
}

// The graph itself doesn't know what bodies read: captured constants stand in as its outputs.
void erase_unused_constants(const Model& model, Graph& graph) {
  const std::vector<ValueId> outputs = graph.outputs();
  std::vector<ValueId> kept = outputs;
  for (const ValueId id : graph.constants()) {
    if (is_captured(model, graph, id)) kept.push_back(id);
  }
  graph.set_outputs(std::move(kept));
  graph.erase_unused_constants();
  graph.set_outputs(outputs);
}

WeightId Model::add_weight(Weight weight) {
  weights.push_back(std::move(weight));
  return {static_cast<std::uint32_t>(weights.size() - 1)};
}

const Weight& Model::weight(WeightId id) const {
  THIMBLE_CHECK(id.index < weights.size(), "a weight of the model");
  return weights[id.index];
}

Weight& Model::weight(WeightId id) { return const_cast<Weight&>(std::as_const(*this).weight(id)); }

ValueId Model::constant(WeightId id) { return constant_in(*this, graph, id); }
ValueId Model::constant(Weight weight) { return add_constant(*this, graph, std::move(weight)); }

namespace {

ValueId new_constant(const Model& model, Graph& graph, WeightId id) {
  const Weight& weight = model.weight(id);
  return graph.add_constant(id, weight.name, constant_type(model, weight),
                            Shape(weight.dims.begin(), weight.dims.end()));
}

}  // namespace

ValueId constant_in(const Model& model, Graph& graph, WeightId id) {
  for (const ValueId value : graph.constants()) {
    if (graph.value(value).weight == id) return value;
  }
  return new_constant(model, graph, id);
}

ValueId add_constant(Model& model, Graph& graph, Weight weight) {
  return new_constant(model, graph, model.add_weight(std::move(weight)));
}

std::uint64_t Model::parameter_count() const {
  if (original_parameters != 0) return original_parameters;
  std::uint64_t total = 0;
  for (const Weight& w : weights) total += w.source_parameters;
  return total;
}

std::uint64_t Model::weight_bytes() const {
  std::uint64_t total = 0;
  for (const Weight& w : weights) {
    if (w.source != nullptr || !w.name.empty()) total += w.byte_size();
  }
  return total;
}

}  // namespace thimble::ir

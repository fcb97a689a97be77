#include "formats/onnx/rewriter.h"

#include <algorithm>
#include <array>

#include "ir/label.h"

namespace thimble::formats::onnx {

ir::ValueId Rewriter::input(std::size_t index) const {
  const Inputs& inputs = node().inputs;
  return index < inputs.size() ? inputs[index] : ir::ValueId{};
}

bool Rewriter::is_used(std::size_t output) const {
  if (output >= node().outputs.size()) return false;
  const ir::ValueId id = node().outputs[output];
  return id.valid() && (graph_.is_output(id) || !graph_.users(id).empty());
}

const ir::Weight* Rewriter::weight_of(ir::ValueId id) const {
  if (!id.valid()) return nullptr;
  const ir::Value& value = graph_.value(id);
  if (value.weight.valid()) return &model_.weight(value.weight);
  if (!value.producer.valid()) return nullptr;
  const ir::Node& producer = graph_.node(value.producer);
  if (!producer.is("Constant")) return nullptr;
  const ir::AttributeValue* held = producer.find("value");
  const auto* weight = held == nullptr ? nullptr : std::get_if<ir::WeightId>(held);
  return weight == nullptr ? nullptr : &model_.weight(*weight);
}

std::optional<std::int64_t> Rewriter::rank_of(ir::ValueId id) const {
  constexpr std::array<std::string_view, 8> kSameRank = {
      "Relu",     "Conv",   "BatchNormalization", "MaxPool", "AveragePool", "GlobalAveragePool",
      "Identity", "Dropout"};
  // A chain of nodes is at most as long as the graph.
  while (id.valid()) {
    const ir::Value& value = graph_.value(id);
    if (value.shape.has_value()) return static_cast<std::int64_t>(value.shape->size());
    if (const ir::Weight* weight = weight_of(id)) {
      return static_cast<std::int64_t>(weight->dims.size());
    }
    if (!value.producer.valid()) return std::nullopt;
    const ir::Node& producer = graph_.node(value.producer);
    if (!producer.domain.empty() || producer.inputs.empty()) return std::nullopt;
    if (producer.op == "Gemm" || producer.op == "Flatten") return 2;
    const bool same = std::find(kSameRank.begin(), kSameRank.end(), producer.op) != kSameRank.end();
    if (!same) return std::nullopt;
    id = producer.inputs.front();
  }
  return std::nullopt;
}

void Rewriter::set_input(std::size_t index, ir::ValueId value) {
  graph_.edit(id_, [&](ir::Node& node) {
    if (node.inputs.size() <= index) node.inputs.resize(index + 1);
    node.inputs[index] = value;
  });
}

void Rewriter::drop_inputs_from(std::size_t first) {
  graph_.edit(id_, [&](ir::Node& node) {
    if (node.inputs.size() > first) node.inputs.resize(first);
  });
}

void Rewriter::drop_outputs_from(std::size_t first) {
  // A result belongs to its node for good, so a node with fewer results replaces this one.
  if (node().outputs.size() <= first) return;
  ir::Node shorter = node();
  std::vector<std::string> names;
  for (std::size_t i = 0; i < first; ++i) {
    names.push_back(shorter.outputs[i].valid() ? new_name(shorter.op) : std::string());
  }
  const ir::NodeId old = id_;
  const std::vector<ir::ValueId> results =
      graph_.node(graph_.insert_before(old, std::move(shorter), names)).outputs;
  const ir::NodeId fresh = graph_.value(results.front()).producer;
  replace(results);
  id_ = fresh;
}

void Rewriter::set_operator(std::string_view op) {
  graph_.edit(id_, [&](ir::Node& node) {
    node.op = op;
    node.domain.clear();
  });
}

void Rewriter::set_attribute(std::string_view name, ir::AttributeValue value) {
  graph_.edit(id_, [&](ir::Node& node) {
    Attributes& all = node.attributes;
    const auto place =
        std::find_if(all.begin(), all.end(), [&](const auto& a) { return a.name >= name; });
    if (place != all.end() && place->name == name) {
      place->value = std::move(value);
    } else {
      all.insert(place, {std::string(name), std::move(value)});
    }
  });
}

void Rewriter::set_default(std::string_view name, ir::AttributeValue value) {
  if (node().find(name) == nullptr) set_attribute(name, std::move(value));
}

void Rewriter::drop_attribute(std::string_view name) {
  graph_.edit(id_, [&](ir::Node& node) {
    std::erase_if(node.attributes, [&](const ir::Attribute& a) { return a.name == name; });
  });
}

ir::ValueId Rewriter::constant(ir::Weight weight) {
  weight.name = new_name("constant");
  return ir::add_constant(model_, graph_, std::move(weight));
}

Expected<ir::ValueId> Rewriter::constant(const Expected<ir::WeightId>& weight) {
  if (!weight) return Error(weight.error()).note("in operator " + node().op);
  return ir::constant_in(model_, graph_, *weight);
}

ir::ValueId Rewriter::integers(const std::vector<std::int64_t>& values) {
  return constant(ir::make_dense("", {static_cast<std::int64_t>(values.size())}, values));
}

ir::ValueId Rewriter::integer(std::int64_t value) {
  return constant(ir::make_dense("", {}, std::vector<std::int64_t>{value}));
}

ir::ValueId Rewriter::real(float value) {
  return constant(ir::make_dense("", {}, std::vector<float>{value}));
}

std::string Rewriter::new_name(std::string_view op) const {
  for (const ir::ValueId output : node().outputs) {
    if (output.valid()) return graph_.value(output).name + "/" + std::string(op);
  }
  return std::string(op);
}

ir::ValueId Rewriter::emit(std::string_view op, const Inputs& inputs, Attributes attributes) {
  return emit_many(op, inputs, std::move(attributes), 1).front();
}

std::vector<ir::ValueId> Rewriter::emit_many(std::string_view op, const Inputs& inputs,
                                             Attributes attributes, std::size_t results) {
  ir::Node made;
  made.op = op;
  made.name = node().name;
  made.inputs = inputs;
  while (!made.inputs.empty() && !made.inputs.back().valid()) made.inputs.pop_back();
  made.attributes = std::move(attributes);
  const std::vector<std::string> names(results, new_name(op));
  return graph_.node(graph_.insert_before(id_, std::move(made), names)).outputs;
}

void Rewriter::replace(const std::vector<ir::ValueId>& values) {
  const std::vector<ir::ValueId> old = node().outputs;
  std::vector<std::pair<ir::ValueId, std::string>> names;
  for (std::size_t i = 0; i < old.size(); ++i) {
    if (!old[i].valid() || i >= values.size() || !values[i].valid()) continue;
    ir::Value& fresh = graph_.value(values[i]);
    const ir::Value& replaced = graph_.value(old[i]);
    fresh.dtype = replaced.dtype;
    fresh.shape = replaced.shape;
    names.emplace_back(values[i], replaced.name);
    graph_.replace_uses(old[i], values[i]);
  }
  graph_.erase(id_);
  for (auto& [value, name] : names) graph_.rename(value, std::move(name));
}

Error Rewriter::refuse(std::string why) const {
  return ir::about_node(unsupported("operator " + node().op + ": " + why), graph_, node());
}

}  // namespace thimble::formats::onnx

#pragma once
// New nodes and constants in a graph that is about to be written.

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ir/model.h"

namespace thimble::formats::onnx {

inline constexpr std::string_view kContrib = "com.microsoft";  // ONNX Runtime's own operators
inline constexpr std::int64_t kGraphOpset = 23;                // to a Rewriter of the writer's

// Is the value a constant whose weight is encoded?
inline bool is_encoded(const ir::Model& model, const ir::Graph& graph, ir::ValueId value) {
  if (!value.valid() || !graph.value(value).weight.valid()) return false;
  return !model.weight(graph.value(value).weight).encoding.is_dense();
}

// The emitter's key of a constant that is made of a weight.
inline std::string key_of(ir::WeightId id, const std::string& form) {
  return std::to_string(id.index) + " " + form;
}

class Emitter {
 public:
  explicit Emitter(ir::Model& model) : model_(model) {}

  // What follows goes into this graph, before this node; behind all nodes where it is invalid.
  void move_to(ir::Graph& graph, ir::NodeId place, std::string node_name) {
    graph_ = &graph;
    place_ = place;
    node_name_ = std::move(node_name);
  }
  ir::NodeId place() const { return place_; }

  // The result, called `name` or, where that is taken, much like it.
  ir::ValueId node(std::string_view op, std::vector<ir::ValueId> inputs,
                   std::vector<ir::Attribute> attributes, const std::string& name,
                   std::string_view domain = "") {
    return nodes(op, std::move(inputs), std::move(attributes), {name}, domain).front();
  }
  std::vector<ir::ValueId> nodes(std::string_view op, std::vector<ir::ValueId> inputs,
                                 std::vector<ir::Attribute> attributes,
                                 const std::vector<std::string>& names,
                                 std::string_view domain = "") {
    ir::Node made;
    made.domain = domain;
    made.op = op;
    made.name = node_name_;
    while (!inputs.empty() && !inputs.back().valid()) inputs.pop_back();
    made.inputs = std::move(inputs);
    made.attributes = std::move(attributes);
    const ir::NodeId id = place_.valid() ? graph_->insert_before(place_, std::move(made), names)
                                         : graph_->add_node(std::move(made), names);
    return graph_->node(id).outputs;
  }

  // The constant in this graph; `make` is asked once for each key.
  ir::ValueId constant(const std::string& key, const std::function<ir::Weight()>& make) {
    auto known = weights_.find(key);
    if (known == weights_.end()) known = weights_.emplace(key, model_.add_weight(make())).first;
    const auto [place, is_new] = constants_.try_emplace({graph_, known->second});
    if (!is_new) return place->second;
    const ir::Weight& weight = model_.weight(known->second);
    place->second =
        graph_->add_constant(known->second, weight.name, ir::constant_type(model_, weight),
                             ir::Shape(weight.dims.begin(), weight.dims.end()));
    return place->second;
  }
  // What the constant is to be called once the graph is done: such names are taken until then.
  void name_later(ir::ValueId constant, const std::string& name) { names_[constant] = name; }
  std::map<ir::ValueId, std::string>& later_names() { return names_; }
  ir::ValueId integers(const std::vector<std::int64_t>& values) {
    std::string key = "integers";
    for (const std::int64_t value : values) key += "_" + std::to_string(value);
    return constant(key, [&] {
      return ir::make_dense(key, {static_cast<std::int64_t>(values.size())}, values);
    });
  }

 private:
  ir::Model& model_;
  ir::Graph* graph_ = nullptr;
  ir::NodeId place_;
  std::string node_name_;
  std::map<std::string, ir::WeightId> weights_;
  std::map<std::pair<ir::Graph*, ir::WeightId>, ir::ValueId> constants_;
  std::map<ir::ValueId, std::string> names_;
};

}  // namespace thimble::formats::onnx

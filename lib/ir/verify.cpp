#include <algorithm>
#include <unordered_set>

#include "ir/label.h"
#include "ir/model.h"
#include "ir/ops/schema.h"

namespace thimble::ir {
namespace {

Error broken(std::string message) { return invalid_file(std::move(message)); }

Status check_encoding(const Weight& weight) {
  const Encoding& e = weight.encoding;
  const auto rank = static_cast<int>(weight.dims.size());
  const auto illegal = [&](std::string_view why) {
    return broken("encoding " + e.to_string() + " is illegal: " + std::string(why));
  };
  if (e.is_dense()) {
    const int bits = dtype_bits(weight.dtype);
    if (bits > 0 && bits < 8 && weight.rows() > 1 && weight.inputs() * bits % 8 != 0) {
      return broken("rows of " + std::string(dtype_name(weight.dtype)) +
                    " do not fill whole bytes");
    }
    return ok();
  }
  if (e.axis < -rank || e.axis >= rank) return illegal("no such axis");
  if (e.flat && (rank < 2 || e.axis != -1)) return illegal("flat inputs have no axis of their own");
  if (e.bits < 1 || e.bits > 8) return illegal("bits must be 1 to 8");
  if (e.group_size < 0 || (e.per_tensor && e.group_size != 0)) return illegal("its groups");
  const bool bytes = e.scale_type == DType::kF8E8M0 || e.scale_type == DType::kF8E4M3FN;
  const bool floats =
      e.scale_type == DType::kF16 || e.scale_type == DType::kBF16 || e.scale_type == DType::kF32;
  if (!floats && !(bytes && e.kind == EncodingKind::kCodebook))
    return illegal("its type of scales");
  const bool moved = e.scale_type == DType::kF8E4M3FN && std::abs(e.scale_exponent) <= 100;
  if (e.scale_exponent != 0 && !moved) return illegal("its scales' exponent");
  if (e.constant_zero < 0 || e.constant_zero > 255) return illegal("its zero");
  if (e.kind == EncodingKind::kSuperBlock) {
    const bool whole = e.group_size > 0 && e.super_size > 0 && e.super_size % e.group_size == 0;
    if (!whole || e.per_tensor) return illegal("a super-block must be whole groups");
    if (e.sub_bits < 1 || e.sub_bits > 8) return illegal("its sub-scales");
  }
  const bool needs_table = e.kind == EncodingKind::kCodebook;
  const bool may_have_table = needs_table || e.kind == EncodingKind::kSuperBlock;
  if (e.table.empty() ? needs_table
                      : !may_have_table || e.zero != ZeroKind::kConstant || e.table.size() > 256) {
    return illegal("its table");
  }
  return ok();
}

Status check_weight(const Weight& weight) {
  if (weight.source == nullptr && weight.name.empty()) return ok();  // erased
  std::int64_t total = 1;
  for (const std::int64_t dim : weight.dims) {
    if (dim < 0 || __builtin_mul_overflow(total, dim, &total))
      return broken("its dims are impossible");
  }
  return check_encoding(weight);
}

class GraphVerifier {
 public:
  GraphVerifier(const Model& model, const Graph& graph) : model_(model), graph_(graph) {
    defined_.resize(graph.value_capacity());
  }

  Status run() {
    for (const ValueId input : graph_.inputs()) THIMBLE_TRY(define_input(input));
    for (const ValueId capture : graph_.captures()) THIMBLE_TRY(define_input(capture));
    for (const ValueId constant : graph_.constants()) THIMBLE_TRY(define_constant(constant));
    for (const NodeId id : graph_.order()) {
      if (Status status = node(id); !status) {
        return about_node(std::move(status).error(), graph_, graph_.node(id));
      }
    }
    for (const ValueId output : graph_.outputs()) {
      if (!is_defined(output)) return broken("a graph output is not computed");
    }
    return ok();
  }

 private:
  bool is_defined(ValueId id) const { return graph_.alive(id) && defined_[id.index]; }

  Status define(ValueId id) {
    if (!graph_.alive(id)) return broken("a value was erased, but is still in use");
    const Value& value = graph_.value(id);
    if (defined_[id.index]) return broken("value '" + value.name + "' is defined twice");
    if (value.name.empty() || !names_.insert(value.name).second) {
      return broken("the name '" + value.name + "' is empty or taken twice");
    }
    defined_[id.index] = true;
    return ok();
  }

  Status define_input(ValueId id) {
    THIMBLE_TRY(define(id));
    const Value& value = graph_.value(id);
    if (value.producer.valid() || value.weight.valid()) {
      return broken("graph input '" + value.name + "' is computed, too");
    }
    return ok();
  }

  Status define_constant(ValueId id) {
    THIMBLE_TRY(define(id));
    const Value& value = graph_.value(id);
    if (value.producer.valid()) return broken("constant '" + value.name + "' is computed, too");
    if (value.weight.index >= model_.weights.size()) {
      return broken("constant '" + value.name + "' names no weight");
    }
    const Weight& weight = model_.weight(value.weight);
    if (!value.shape || *value.shape != Shape(weight.dims.begin(), weight.dims.end())) {
      return broken("constant '" + value.name + "' has another shape than its weight");
    }
    if (const DType type = constant_type(model_, weight); value.dtype != type) {
      return broken("constant '" + value.name + "' is " + std::string(dtype_name(value.dtype)) +
                    ", but its weight makes " + std::string(dtype_name(type)));
    }
    return ok();
  }

  Status node(NodeId id) {
    const Node& n = graph_.node(id);
    const OpSchema* schema = find_operator(n.domain, n.op);
    if (schema == nullptr) return unsupported("operator " + n.domain + "::" + n.op + " is unknown");
    THIMBLE_TRY(arity(n, *schema));
    THIMBLE_TRY(attributes(n, *schema));
    for (const ValueId input : n.inputs) {
      if (input.valid() && !is_defined(input))
        return broken("an input is computed later or nowhere");
    }
    for (const GraphId body : bodies(n)) THIMBLE_TRY(captures(model_.graphs[body.index]));
    for (const ValueId output : n.outputs) {
      if (!output.valid()) continue;
      THIMBLE_TRY(define(output));
      if (graph_.value(output).producer != id) return broken("a result names another producer");
    }
    return ok();
  }

  // What a body captures is computed before the node.
  Status captures(const Graph& body) const {
    for (const ValueId capture : body.captures()) {
      const std::string& name = body.value(capture).name;
      const std::optional<ValueId> outer = graph_.find_value(name);
      if (!outer || !is_defined(*outer)) {
        return broken("'" + name + "', which a body captures, is computed later or nowhere");
      }
    }
    return ok();
  }

  static Status arity(const Node& n, const OpSchema& schema) {
    const auto inputs = static_cast<int>(n.inputs.size());
    const auto outputs = static_cast<int>(n.outputs.size());
    if (inputs < schema.min_inputs || inputs > schema.max_inputs) {
      return broken(n.op + " with " + std::to_string(inputs) + " inputs");
    }
    if (outputs < schema.min_outputs || outputs > schema.max_outputs) {
      return broken(n.op + " with " + std::to_string(outputs) + " results");
    }
    for (int i = 0; i < schema.min_inputs; ++i) {
      if (!n.inputs[static_cast<std::size_t>(i)].valid()) {
        return broken("input " + std::to_string(i) + " of " + n.op + " is missing");
      }
    }
    return ok();
  }

  Status attributes(const Node& n, const OpSchema& schema) const {
    for (std::size_t i = 0; i < n.attributes.size(); ++i) {
      const Attribute& a = n.attributes[i];
      if (i > 0 && !(n.attributes[i - 1].name < a.name)) {
        return broken("attribute '" + a.name + "' is out of order or given twice");
      }
      const AttributeSchema* expected = nullptr;
      for (const AttributeSchema& s : schema.attributes) {
        if (s.name == a.name) expected = &s;
      }
      if (expected == nullptr) return broken(n.op + " has no attribute '" + a.name + "'");
      if (a.value.index() != static_cast<std::size_t>(expected->kind)) {
        return broken("attribute '" + a.name + "' must be " +
                      std::string(attribute_kind_name(expected->kind)));
      }
      const auto* weight = std::get_if<WeightId>(&a.value);
      if (weight != nullptr && weight->index >= model_.weights.size()) {
        return broken("attribute '" + a.name + "' names no weight");
      }
      const auto* body = std::get_if<GraphId>(&a.value);
      if (body != nullptr && body->index >= model_.graphs.size()) {
        return broken("attribute '" + a.name + "' names no graph");
      }
    }
    for (const AttributeSchema& s : schema.attributes) {
      if (s.required && n.find(s.name) == nullptr) {
        return broken(n.op + " needs the attribute '" + std::string(s.name) + "'");
      }
    }
    return ok();
  }

  const Model& model_;
  const Graph& graph_;
  std::vector<bool> defined_;  // by ValueId
  std::unordered_set<std::string> names_;
};

Status check_state(const Graph& graph, const State& state) {
  const std::optional<ValueId> input = graph.find_value(state.input);
  const std::optional<ValueId> output = graph.find_value(state.output);
  const std::vector<ValueId>& inputs = graph.inputs();
  const bool is_input = input && std::find(inputs.begin(), inputs.end(), *input) != inputs.end();
  if (!is_input || !output || !graph.is_output(*output)) {
    return broken("state '" + state.input + "' from '" + state.output +
                  "' does not join a graph output to a graph input");
  }
  return ok();
}

}  // namespace

Status verify(const Model& model) {
  for (const Weight& weight : model.weights) {
    if (Status status = check_weight(weight); !status) {
      return std::move(status).error().at_tensor(weight.name);
    }
  }
  if (!model.graph.captures().empty()) return broken("the main graph captures a value");
  THIMBLE_TRY(GraphVerifier(model, model.graph).run());
  for (const Graph& graph : model.graphs) THIMBLE_TRY(GraphVerifier(model, graph).run());
  for (const State& state : model.states) THIMBLE_TRY(check_state(model.graph, state));
  return ok();
}

}  // namespace thimble::ir

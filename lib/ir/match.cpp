#include "ir/match.h"

#include <algorithm>
#include <charconv>

namespace thimble::ir {
namespace {

bool has_any(std::string_view name, std::initializer_list<std::string_view> parts) {
  return std::any_of(parts.begin(), parts.end(), [&](std::string_view part) {
    return name.find(part) != std::string_view::npos;
  });
}

std::string role_of(std::string_view name) {
  if (has_any(name, {"embed_tokens", "wte", "word_embeddings"})) return "embedding";
  if (has_any(name, {"lm_head"})) return "lm_head";
  if (has_any(name, {"attn", "attention"})) return "attention";
  if (has_any(name, {"mlp", "ffn", "feed_forward", "intermediate", "output.dense"})) return "mlp";
  return {};
}

// The constant matrix behind a factor, directly or through Transpose(perm [1, 0]).
struct Factor {
  ValueId constant;
  NodeId transpose;
};

std::optional<Factor> matrix_factor(const Model& model, const Graph& graph, ValueId value) {
  if (!value.valid()) return std::nullopt;
  Factor factor{value, {}};
  if (graph.value(value).producer.valid()) {
    const NodeId producer = graph.value(value).producer;
    const Node& node = graph.node(producer);
    if (!node.is("Transpose") || node.inputs.size() != 1 || !node.inputs[0].valid())
      return std::nullopt;
    const bool swaps =
        node.find("perm") == nullptr || node.integers("perm") == std::vector<std::int64_t>{1, 0};
    if (!swaps) return std::nullopt;
    factor = {node.inputs[0], producer};
  }
  const Value& constant = graph.value(factor.constant);
  if (!constant.weight.valid()) return std::nullopt;
  const Weight& weight = model.weight(constant.weight);
  if (weight.dims.size() != 2 || !dtype_is_float(weight.dtype)) return std::nullopt;
  return factor;
}

bool is_table(const Model& model, const Node& node) {
  if (!node.is("Gather") || node.integer("axis", 0) != 0 || node.inputs.size() != 2 ||
      !node.inputs[0].valid())
    return false;
  const WeightId id = model.graph.value(node.inputs[0]).weight;
  if (!id.valid()) return false;
  const Weight& weight = model.weight(id);
  return weight.dims.size() == 2 && dtype_is_float(weight.dtype);
}

WeightUse& use_of(std::vector<WeightUse>& uses, WeightId weight, ValueId value) {
  for (WeightUse& use : uses) {
    if (use.weight == weight) return use;
  }
  uses.push_back({});
  uses.back().weight = weight;
  uses.back().value = value;
  return uses.back();
}

void add_node(WeightUse& use, const Node& node, NodeId id, int axis) {
  if (use.nodes.empty()) {
    use.operator_name = node.op;
    use.axis = axis;
  }
  use.nodes.push_back(id);
}

// A weight that something else reads as well cannot be encoded: only products and Gathers decode.
bool only_these_uses(const Model& model, const WeightUse& use) {
  const Graph& graph = model.graph;
  const auto known = [&](NodeId id) {
    return std::find(use.nodes.begin(), use.nodes.end(), id) != use.nodes.end();
  };
  for (const NodeId id : graph.users(use.value)) {
    if (known(id)) continue;
    const Node& node = graph.node(id);
    if (!node.is("Transpose") || graph.is_output(node.outputs[0])) return false;
    const std::vector<NodeId> users = graph.users(node.outputs[0]);
    if (!std::all_of(users.begin(), users.end(), known)) return false;
  }
  return !graph.is_output(use.value);
}

void name_use(const Model& model, WeightUse& use) {
  const std::string& name = model.weight(use.weight).name;
  const std::string& node_name = model.graph.node(use.nodes.front()).name;
  use.role = use.gathered ? "embedding" : role_of(name);
  if (use.role.empty()) use.role = role_of(node_name);
  use.layer = layer_of(name);
  if (use.layer < 0) use.layer = layer_of(node_name);
}

}  // namespace

int layer_of(std::string_view name) {
  std::string_view before;
  while (!name.empty()) {
    const std::size_t end = std::min(name.find_first_of("./"), name.size());
    const std::string_view part = name.substr(0, end);
    name.remove_prefix(std::min(end + 1, name.size()));
    int number = 0;
    const auto [stop, code] = std::from_chars(part.data(), part.data() + part.size(), number);
    const bool is_number = code == std::errc() && stop == part.data() + part.size() && number >= 0;
    const bool follows = before == "layers" || before == "layer" || before == "h" ||
                         before == "blk" || before == "blocks" || before == "block";
    if (is_number && follows) return number;
    before = part;
  }
  return -1;
}

std::optional<Linear> match_linear(const Model& model, NodeId id) {
  return match_linear(model, model.graph, id);
}

std::optional<Linear> match_linear(const Model& model, const Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  const bool gemm = node.is("Gemm");
  if ((!gemm && !node.is("MatMul")) || node.inputs.size() < 2 || node.outputs.empty() ||
      !node.inputs[0].valid()) {
    return std::nullopt;
  }
  const bool scaled = node.real("alpha", 1) != 1 || node.real("beta", 1) != 1;
  if (gemm && (node.integer("transA", 0) != 0 || scaled)) return std::nullopt;
  const std::optional<Factor> factor = matrix_factor(model, graph, node.inputs[1]);
  if (!factor) return std::nullopt;
  const bool trans_b = gemm && node.integer("transB", 0) != 0;
  Linear linear;
  linear.product = id;
  linear.transpose = factor->transpose;
  linear.input = node.inputs[0];
  linear.output = node.outputs[0];
  linear.weight_value = factor->constant;
  linear.weight = graph.value(factor->constant).weight;
  linear.axis = trans_b != factor->transpose.valid() ? 1 : 0;
  const std::vector<std::int64_t>& dims = model.weight(linear.weight).dims;
  linear.inputs = dims[static_cast<std::size_t>(linear.axis)];
  linear.rows = dims[static_cast<std::size_t>(1 - linear.axis)];
  return linear;
}

std::optional<Convolution> match_convolution(const Model& model, NodeId id) {
  return match_convolution(model, model.graph, id);
}

std::optional<Convolution> match_convolution(const Model& model, const Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  if (!node.is("Conv") || node.inputs.size() < 2 || node.outputs.empty() ||
      !node.inputs[0].valid() || !node.inputs[1].valid()) {
    return std::nullopt;
  }
  Convolution conv;
  conv.input = node.inputs[0];
  conv.output = node.outputs[0];
  conv.weight_value = node.inputs[1];
  conv.weight = graph.value(conv.weight_value).weight;
  if (!conv.weight.valid()) return std::nullopt;
  const Weight& weight = model.weight(conv.weight);
  conv.group = node.integer("group", 1);
  if (weight.dims.size() < 3 || !dtype_is_float(weight.dtype) || conv.group < 1)
    return std::nullopt;
  conv.outputs = weight.dims[0];
  if (conv.outputs < 1) return std::nullopt;
  conv.inputs = weight.element_count() / conv.outputs;
  return conv;
}

std::vector<ValueId> recurrent_weights(const Model& model, const Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  std::vector<ValueId> weights;
  if ((!node.is("LSTM") && !node.is("GRU") && !node.is("RNN")) || node.inputs.size() < 3)
    return weights;
  for (const ValueId value : {node.inputs[1], node.inputs[2]}) {
    if (!value.valid() || !graph.value(value).weight.valid()) continue;
    const Weight& weight = model.weight(graph.value(value).weight);
    if (weight.dims.size() == 3 && dtype_is_float(weight.dtype)) weights.push_back(value);
  }
  return weights;
}

static void add_convolution(std::vector<WeightUse>& uses, const Convolution& conv, const Node& node,
                            NodeId id) {
  WeightUse& use = use_of(uses, conv.weight, conv.weight_value);
  use.convolved = true;
  add_node(use, node, id, 1);
}

std::vector<WeightUse> quantizable_weights(const Model& model) {
  std::vector<WeightUse> uses;
  for (const NodeId id : model.graph.order()) {
    const Node& node = model.graph.node(id);
    if (const std::optional<Linear> linear = match_linear(model, id)) {
      add_node(use_of(uses, linear->weight, linear->weight_value), node, id, linear->axis);
    } else if (const std::optional<Convolution> conv = match_convolution(model, id)) {
      add_convolution(uses, *conv, node, id);
    } else if (is_table(model, node)) {
      const ValueId table = node.inputs[0];
      WeightUse& use = use_of(uses, model.graph.value(table).weight, table);
      add_node(use, node, id, 1);
      use.gathered = true;
    } else {
      for (const ValueId value : recurrent_weights(model, model.graph, id)) {
        WeightUse& use = use_of(uses, model.graph.value(value).weight, value);
        use.recurrent = true;
        add_node(use, node, id, 2);
      }
    }
  }
  std::erase_if(uses, [&](const WeightUse& use) { return !only_these_uses(model, use); });
  for (WeightUse& use : uses) name_use(model, use);
  return uses;
}

}  // namespace thimble::ir

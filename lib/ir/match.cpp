#include "ir/match.h"

#include <algorithm>
#include <charconv>
#include <unordered_map>

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

bool is_table(const Model& model, const Graph& graph, const Node& node) {
  if (!node.is("Gather") || node.integer("axis", 0) != 0 || node.inputs.size() != 2 ||
      !node.inputs[0].valid())
    return false;
  const WeightId id = graph.value(node.inputs[0]).weight;
  if (!id.valid()) return false;
  const Weight& weight = model.weight(id);
  return weight.dims.size() == 2 && dtype_is_float(weight.dtype);
}

void add_node(WeightUse& use, const Node& node, NodeId id, int axis) {
  if (use.nodes.empty()) {
    use.operator_name = node.op;
    use.axis = axis;
  }
  use.nodes.push_back(id);
}

void name_use(const Model& model, const Graph& graph, WeightUse& use) {
  const std::string& name = model.weight(use.weight).name;
  const std::string& node_name = graph.node(use.nodes.front()).name;
  use.role = use.gathered ? "embedding" : role_of(name);
  if (use.role.empty()) use.role = role_of(node_name);
  use.layer = layer_of(name);
  if (use.layer < 0) use.layer = layer_of(node_name);
}

std::size_t constants_of(const Graph& graph, WeightId weight) {
  const std::vector<ValueId> constants = graph.constants();
  return static_cast<std::size_t>(
      std::count_if(constants.begin(), constants.end(),
                    [&](ValueId id) { return graph.value(id).weight == weight; }));
}

// Does one value stand for the weight, in whichever graph?
bool has_one_value(const Model& model, WeightId weight) {
  std::size_t count = constants_of(model.graph, weight);
  for (const Graph& body : model.graphs) count += constants_of(body, weight);
  return count == 1;
}

// The uses of a graph's weights, in one walk over its nodes.
class UseFinder {
 public:
  UseFinder(const Model& model, const Graph& graph, bool transposed)
      : model_(model), graph_(graph), transposed_(transposed), users_(graph.value_capacity()) {}

  std::vector<WeightUse> run() {
    for (const NodeId id : graph_.order()) add(id);
    std::erase_if(uses_, [&](const WeightUse& use) { return !only_these(use); });
    for (WeightUse& use : uses_) name_use(model_, graph_, use);
    return std::move(uses_);
  }

 private:
  WeightUse& use_at(ValueId value) {
    const WeightId weight = graph_.value(value).weight;
    const auto [place, fresh] = by_weight_.emplace(weight.index, uses_.size());
    if (fresh) {
      uses_.push_back({});
      uses_.back().weight = weight;
      uses_.back().value = value;
    }
    return uses_[place->second];
  }

  void add(NodeId id) {
    const Node& node = graph_.node(id);
    for (const ValueId input : node.inputs) {
      if (input.valid()) users_[input.index].push_back(id);
    }
    if (const std::optional<Linear> linear = match_linear(model_, graph_, id)) {
      add_node(use_at(linear->weight_value), node, id, linear->axis);
    } else if (const std::optional<Convolution> conv = match_convolution(model_, graph_, id)) {
      WeightUse& use = use_at(conv->weight_value);
      use.convolved = true;
      add_node(use, node, id, 1);
    } else if (const ValueId kernel = transposed_weight(model_, graph_, node);
               transposed_ && kernel.valid()) {
      WeightUse& use = use_at(kernel);
      use.convolved = true;
      add_node(use, node, id, 1);
    } else if (is_table(model_, graph_, node)) {
      WeightUse& use = use_at(node.inputs[0]);
      use.gathered = true;
      add_node(use, node, id, 1);
    } else {
      for (const ValueId value : recurrent_weights(model_, graph_, id)) {
        WeightUse& use = use_at(value);
        use.recurrent = true;
        add_node(use, node, id, 2);
      }
    }
  }

  // A weight that something else reads as well cannot be encoded: only products and Gathers decode.
  bool only_these(const WeightUse& use) const {
    const auto known = [&](NodeId id) {
      return std::find(use.nodes.begin(), use.nodes.end(), id) != use.nodes.end();
    };
    for (const NodeId id : users_[use.value.index]) {
      if (known(id)) continue;
      const Node& node = graph_.node(id);
      if (!node.is("Transpose") || graph_.is_output(node.outputs[0])) return false;
      const std::vector<NodeId>& users = users_[node.outputs[0].index];
      if (!std::all_of(users.begin(), users.end(), known)) return false;
    }
    return !graph_.is_output(use.value);
  }

  const Model& model_;
  const Graph& graph_;
  bool transposed_;                         // convolutions, too
  std::vector<std::vector<NodeId>> users_;  // by value, once for each input that reads it
  std::vector<WeightUse> uses_;
  std::unordered_map<std::uint32_t, std::size_t> by_weight_;
};

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

ValueId transposed_weight(const Model& model, const Graph& graph, const Node& node) {
  if (!node.is("ConvTranspose") || node.inputs.size() < 2 || !node.inputs[1].valid()) return {};
  const WeightId id = graph.value(node.inputs[1]).weight;
  if (!id.valid()) return {};
  const Weight& weight = model.weight(id);
  return weight.dims.size() > 2 && weight.dtype == DType::kF32 ? node.inputs[1] : ValueId{};
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

std::vector<WeightUse> quantizable_weights(const Model& model) {
  return UseFinder(model, model.graph, false).run();
}

std::vector<WeightUse> quantizable_weights_everywhere(const Model& model) {
  std::vector<WeightUse> all = UseFinder(model, model.graph, true).run();
  for (std::size_t i = 0; i < model.graphs.size(); ++i) {
    for (WeightUse& use : UseFinder(model, model.graphs[i], true).run()) {
      if (!has_one_value(model, use.weight)) continue;
      use.body = GraphId{static_cast<std::uint32_t>(i)};
      all.push_back(std::move(use));
    }
  }
  return all;
}

const Graph& graph_of(const Model& model, const WeightUse& use) {
  return use.body.valid() ? model.graphs[use.body.index] : model.graph;
}

Graph& graph_of(Model& model, const WeightUse& use) {
  return use.body.valid() ? model.graphs[use.body.index] : model.graph;
}

int layer_count(const std::vector<WeightUse>& uses) {
  int layers = 0;
  for (const WeightUse& use : uses) layers = std::max(layers, use.layer + 1);
  return layers;
}

void set_encoding(Model& model, const WeightUse& use, const Encoding& encoding) {
  Weight& weight = model.weight(use.weight);
  weight.encoding = encoding;
  graph_of(model, use).value(use.value).dtype = constant_type(model, weight);
}

}  // namespace thimble::ir

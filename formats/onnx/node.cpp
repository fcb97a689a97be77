// Nodes: attributes, constants, casts.

#include <algorithm>
#include <array>

#include "formats/onnx/builder.h"
#include "formats/onnx/order.h"

namespace thimble::formats::onnx {
namespace {

std::string label(const NodeInfo& node) {
  if (!node.name.empty()) return std::string(node.name);
  for (const std::string_view output : node.outputs) {
    if (!output.empty()) return std::string(output);
  }
  return std::string(node.op);
}

// Attributes that hold an element type, other than Cast's.
bool is_type_attribute(std::string_view name) {
  constexpr std::array<std::string_view, 6> kNames = {
      "dtype", "output_dtype", "output_datatype", "precision", "softmax_precision", "stash_type"};
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

// Operators whose results are of another type than their float inputs.
bool changes_type(std::string_view op) {
  constexpr std::array<std::string_view, 19> kOps = {
      "Cast",           "Shape",   "Size",        "ArgMax",         "ArgMin",
      "Equal",          "Less",    "LessOrEqual", "Greater",        "Not",
      "GreaterOrEqual", "IsNaN",   "IsInf",       "QuantizeLinear", "DynamicQuantizeLinear",
      "NonZero",        "BitCast", "EyeLike",     "MatMulInteger"};
  return std::find(kOps.begin(), kOps.end(), op) != kOps.end();
}

std::vector<std::string> names_of(const std::vector<std::string_view>& texts) {
  return {texts.begin(), texts.end()};
}

}  // namespace

Status GraphBuilder::add_nodes(const std::vector<NodeInfo>& nodes, Scope& scope) {
  for (const NodeInfo* node : in_order(nodes)) {
    if (Status status = add_node(*node, scope); !status) {
      Error error = std::move(status).error();
      if (error.place.tensor.empty()) error.place.tensor = label(*node);
      return std::move(error).note("in node '" + label(*node) + "', operator " +
                                   std::string(node->op));
    }
  }
  return ok();
}

Status GraphBuilder::add_node(const NodeInfo& node, Scope& scope) {
  if (scope.call != nullptr) THIMBLE_TRY(spend(node));
  if (const FunctionInfo* function = function_of(node)) return inline_call(node, *function, scope);
  if (node.domain.empty() && node.op == "Constant") return add_constant_node(node, scope);
  if (node.domain.empty() && (node.op == "Cast" || node.op == "CastLike")) {
    THIMBLE_ASSIGN(const ir::DType half, half_cast_type(node, scope));
    if (half != ir::DType::kUndefined) return add_half_cast(node, half, scope);
  }
  return add_plain_node(node, scope);
}

Status GraphBuilder::add_plain_node(const NodeInfo& info, Scope& scope) {
  ir::Node node;
  node.domain = info.domain;
  node.op = info.op;
  node.name = (scope.call != nullptr ? scope.call->prefix : "") + std::string(info.name);
  for (const std::string_view input : info.inputs) {
    THIMBLE_ASSIGN(const ir::ValueId value, use(input, scope));
    node.inputs.push_back(value);
  }
  while (!node.inputs.empty() && !node.inputs.back().valid()) node.inputs.pop_back();
  std::unordered_set<std::string_view> seen;
  for (const AttributeInfo& attribute : info.attributes) {
    if (!seen.insert(attribute.name).second) {
      return invalid_file("attribute '" + std::string(attribute.name) + "' is given twice");
    }
    THIMBLE_ASSIGN(const AttributeInfo* meant, resolve(attribute, scope));
    if (meant == nullptr) continue;
    THIMBLE_ASSIGN(auto value, attribute_value(info, *meant, attribute.name, scope));
    node.attributes.push_back({std::string(attribute.name), std::move(value)});
  }
  const ir::DType half = half_of_results(info, scope);
  std::vector<std::string> names;
  for (const std::string_view output : info.outputs) names.push_back(result_name(output, scope));
  while (!names.empty() && names.back().empty()) names.pop_back();
  ir::Graph& graph = scope.frame.graph;
  const ir::NodeId id = graph.add_node(std::move(node), names);
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i].empty()) continue;
    Binding binding;
    binding.value = graph.node(id).outputs[i];
    binding.half = half;
    THIMBLE_TRY(define(info.outputs[i], binding, scope));
  }
  return ok();
}

// A guess that only CastLike relies on: floats of 16 bits in, floats of 16 bits out.
ir::DType GraphBuilder::half_of_results(const NodeInfo& node, Scope& scope) {
  if (changes_type(node.op)) return ir::DType::kUndefined;
  for (const std::string_view input : node.inputs) {
    const auto found = scope.names.find(input);
    if (found != scope.names.end() && is_half(found->second.half)) return found->second.half;
  }
  return ir::DType::kUndefined;
}

Expected<ir::DType> GraphBuilder::half_cast_type(const NodeInfo& node, Scope& scope) {
  if (node.op == "CastLike") {
    if (node.inputs.size() != 2) return ir::DType::kUndefined;
    THIMBLE_ASSIGN(const Binding like, find(node.inputs[1], scope));
    return like.half;
  }
  for (const AttributeInfo& attribute : node.attributes) {
    if (attribute.name != "to") continue;
    THIMBLE_ASSIGN(const AttributeInfo* to, resolve(attribute, scope));
    if (to == nullptr || to->type != AttributeType::kInt) continue;
    const Expected<ir::DType> type = dtype_of(to->integer);
    if (type && is_half(*type)) return *type;
  }
  return ir::DType::kUndefined;
}

ir::ValueId GraphBuilder::cast(Frame& frame, ir::ValueId value, ir::DType type,
                               const std::string& node_name, const std::string& result) {
  ir::Node node;
  node.op = "Cast";
  node.name = node_name;
  node.inputs = {value};
  node.attributes = {{"to", static_cast<std::int64_t>(type)}};
  const ir::NodeId id = frame.graph.add_node(std::move(node), {result});
  return frame.graph.node(id).outputs[0];
}

Status GraphBuilder::add_half_cast(const NodeInfo& node, ir::DType half, Scope& scope) {
  if (node.inputs.empty() || node.outputs.size() != 1 || node.outputs[0].empty()) {
    return invalid_file("a Cast has one input and one result");
  }
  THIMBLE_ASSIGN(const ir::ValueId value, use(node.inputs[0], scope));
  if (!value.valid()) return invalid_file("a Cast has one input and one result");
  const std::string name = result_name(node.outputs[0], scope), node_name(node.name);
  const std::string narrow = fresh(name + "_" + std::string(ir::dtype_name(half)));
  const ir::ValueId rounded = cast(scope.frame, value, half, node_name, narrow);
  Binding binding;
  binding.value = cast(scope.frame, rounded, ir::DType::kF32, node_name, name);
  binding.half = half;
  return define(node.outputs[0], binding, scope);
}

Expected<const AttributeInfo*> GraphBuilder::resolve(const AttributeInfo& attribute,
                                                     const Scope& scope) const {
  if (attribute.reference.empty()) return &attribute;
  if (scope.call == nullptr) {
    return invalid_file("attribute '" + std::string(attribute.name) +
                        "' refers to a function's, outside of a function");
  }
  const auto meant = scope.call->attributes.find(attribute.reference);
  return meant == scope.call->attributes.end() ? nullptr : meant->second;
}

Expected<ir::AttributeValue> GraphBuilder::attribute_value(const NodeInfo& node,
                                                           const AttributeInfo& attribute,
                                                           std::string_view name, Scope& scope) {
  const auto refuse = [&](std::string_view what) {
    return unsupported("attribute '" + std::string(name) + "' holds " + std::string(what));
  };
  switch (attribute.type) {
    case AttributeType::kFloat:
      return ir::AttributeValue(attribute.real);
    case AttributeType::kInt: {
      const bool half =
          is_type_attribute(name) && (attribute.integer == 10 || attribute.integer == 16);
      return ir::AttributeValue(half ? std::int64_t{1} : attribute.integer);
    }
    case AttributeType::kString:
      return ir::AttributeValue(std::string(attribute.text));
    case AttributeType::kFloats:
      return ir::AttributeValue(attribute.reals);
    case AttributeType::kInts:
      return ir::AttributeValue(attribute.integers);
    case AttributeType::kStrings:
      return ir::AttributeValue(names_of(attribute.texts));
    case AttributeType::kTensor: {
      THIMBLE_ASSIGN(const ir::WeightId weight, attribute_weight(node, attribute));
      return ir::AttributeValue(weight);
    }
    case AttributeType::kGraph: {
      if (attribute.graph == nullptr) return invalid_file("a body is missing");
      if (name != attribute.name) return refuse("a graph that a function takes from its caller");
      THIMBLE_ASSIGN(const ir::GraphId body, add_body(*attribute.graph, scope));
      return ir::AttributeValue(body);
    }
    case AttributeType::kUndefined:
      return invalid_file("attribute '" + std::string(name) + "' has no type");
    case AttributeType::kTensors:
      return refuse("a list of tensors");
    case AttributeType::kGraphs:
      return refuse("a list of graphs");
    case AttributeType::kSparseTensor:
    case AttributeType::kSparseTensors:
      return refuse("a sparse tensor");
    case AttributeType::kTypeProto:
    case AttributeType::kTypeProtos:
      return refuse("a type");
  }
  return invalid_file("an attribute is of an unknown type");
}

Expected<ir::WeightId> GraphBuilder::attribute_weight(const NodeInfo& node,
                                                      const AttributeInfo& attribute) {
  if (attribute.tensor == nullptr) return invalid_file("a tensor is missing");
  const std::uint32_t index =
      add_constant(attribute.tensor.get(),
                   {attribute.tensor.get(), label(node) + "." + std::string(attribute.name), {}});
  Constant& constant = constants_[index];
  if (constant.weight.valid()) return constant.weight;
  THIMBLE_ASSIGN(ir::Weight weight, weight_of(*constant.tensor, files_));
  weight.name = constant.name;
  weight.source_parameters = 0;
  if (is_half(weight.dtype)) {  // its type would be the result's
    THIMBLE_ASSIGN(const std::vector<float> values, ir::read_floats(weight));
    weight = ir::make_dense(constant.name, weight.dims, values);
  }
  constant.weight = model_.add_weight(std::move(weight));
  return constant.weight;
}

// Constant: a tensor, or plain numbers. What isn't supported is refused once it gets used.
Status GraphBuilder::add_constant_node(const NodeInfo& node, Scope& scope) {
  if (node.attributes.size() != 1 || node.outputs.size() != 1 || node.outputs[0].empty()) {
    return invalid_file("a Constant has one attribute and one result");
  }
  THIMBLE_ASSIGN(const AttributeInfo* attribute, resolve(node.attributes[0], scope));
  if (attribute == nullptr) return invalid_file("a Constant's value is missing");
  THIMBLE_ASSIGN(const Binding binding,
                 bind_constant(*attribute, result_name(node.outputs[0], scope)));
  return define(node.outputs[0], binding, scope);
}

Expected<GraphBuilder::Binding> GraphBuilder::bind_constant(const AttributeInfo& attribute,
                                                            const std::string& name) {
  Binding binding;
  binding.kind = Binding::Kind::kConstant;
  const auto numbers = [&](std::vector<std::int64_t> dims, const auto& values) {
    binding.constant =
        constant_of_.contains(&attribute)
            ? add_constant(&attribute, {})
            : add_constant(&attribute,
                           {nullptr, name, model_.add_weight(ir::make_dense(name, dims, values))});
    return binding;
  };
  const auto list = [&](const auto& values) {
    return numbers({static_cast<std::int64_t>(values.size())}, values);
  };
  const auto refused = [&](std::string_view what) {
    binding.kind = Binding::Kind::kRefused;
    binding.refusal = what;
    return binding;
  };
  switch (attribute.type) {
    case AttributeType::kTensor: {
      if (attribute.tensor == nullptr) return invalid_file("a Constant's value is missing");
      const TensorInfo* tensor = attribute.tensor.get();
      binding.constant = add_constant(tensor, {tensor, name, {}});
      const auto type = dtype_of(tensor->data_type);
      if (type && is_half(*type)) binding.half = *type;
      return binding;
    }
    case AttributeType::kFloat:
      return numbers({}, std::span(&attribute.real, 1));
    case AttributeType::kInt:
      return numbers({}, std::span(&attribute.integer, 1));
    case AttributeType::kFloats:
      return list(attribute.reals);
    case AttributeType::kInts:
      return list(attribute.integers);
    case AttributeType::kString:
    case AttributeType::kStrings:
      return refused("tensors of strings");
    case AttributeType::kSparseTensor:
      return refused("sparse tensors");
    default:
      return invalid_file("a Constant's value is of a type that it cannot have");
  }
}

}  // namespace thimble::formats::onnx

// Graphs: initializers, inputs, outputs, bodies.

#include "formats/onnx/builder.h"

namespace thimble::formats::onnx {
namespace {

ir::DType lifted(ir::DType type) { return is_half(type) ? ir::DType::kF32 : type; }

Expected<ir::DType> tensor_type(const ValueInfo& value) {
  if (value.kind != TypeKind::kTensor) {
    return unsupported("it is " + std::string(type_kind_name(value.kind)) +
                       ", and only tensors are supported")
        .at_tensor(std::string(value.name));
  }
  Expected<ir::DType> type = dtype_of(value.element_type);
  if (!type) return std::move(type).error().at_tensor(std::string(value.name));
  return type;
}

bool starts_symbol(char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_'; }

// [A-Za-z_][A-Za-z0-9_.]*, and none of the words that dimensions are written with.
std::string sanitised(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool fits = starts_symbol(c) || (c >= '0' && c <= '9') || c == '.';
    out += fits ? c : '_';
  }
  if (out.empty() || !starts_symbol(out[0])) out.insert(out.begin(), '_');
  return out == "max" || out == "floor" ? out + "_" : out;
}

}  // namespace

GraphBuilder::GraphBuilder(const ModelInfo& info, TensorFiles& files, ir::Model& model)
    : info_(info), files_(files), model_(model) {
  for (const FunctionInfo& function : info.functions) {
    functions_[{function.domain, function.name}].push_back(&function);
  }
}

Status GraphBuilder::run() {
  const GraphInfo& info = *info_.graph;
  for (const ValueInfo& input : info.inputs) main_names_.insert(input.name);
  for (const TensorInfo& tensor : info.initializers) main_names_.insert(tensor.name);
  for (const NodeInfo& node : info.nodes) {
    main_names_.insert(node.outputs.begin(), node.outputs.end());
  }
  for (const ValueInfo& output : info.outputs) {
    const auto type = static_cast<ir::DType>(output.element_type);
    if (output.kind == TypeKind::kTensor && output.element_type == static_cast<int>(type) &&
        is_half(type)) {
      half_outputs_.emplace(output.name, type);
    }
  }
  Frame frame;
  frame.graph.name = info.name;
  Scope scope{frame, nullptr, nullptr, {}};
  THIMBLE_TRY(add_initializers(info, scope));
  THIMBLE_TRY(add_main_inputs(info, scope));
  THIMBLE_TRY(add_nodes(info.nodes, scope));
  THIMBLE_TRY(add_main_outputs(info, scope));
  model_.graph = std::move(frame.graph);
  return ok();
}

std::string GraphBuilder::fresh(std::string_view wanted) const {
  std::string name(wanted);
  for (int n = 1; main_names_.contains(name); ++n) {
    name = std::string(wanted) + "." + std::to_string(n);
  }
  return name;
}

Status GraphBuilder::add_initializers(const GraphInfo& info, Scope& scope) {
  for (const TensorInfo& tensor : info.initializers) {
    if (tensor.name.empty()) return invalid_file("an initializer has no name");
    Binding binding;
    binding.kind = Binding::Kind::kConstant;
    binding.constant = add_constant(&tensor, {&tensor, result_name(tensor.name, scope), {}});
    if (const auto type = dtype_of(tensor.data_type); type && is_half(*type)) binding.half = *type;
    THIMBLE_TRY(define(tensor.name, binding, scope));
  }
  for (const std::string_view name : info.sparse_initializers) {
    Binding binding;
    binding.kind = Binding::Kind::kRefused;
    binding.refusal = "sparse initializers";
    THIMBLE_TRY(define(name, binding, scope));
  }
  return ok();
}

std::string GraphBuilder::symbol(std::string_view wanted) {
  const auto known = symbols_.find(std::string(wanted));
  if (known != symbols_.end()) return known->second;
  const std::string plain = sanitised(wanted);
  std::string name = plain;
  for (int n = 2; !taken_symbols_.insert(name).second; ++n) name = plain + "_" + std::to_string(n);
  symbols_.emplace(std::string(wanted), name);
  return name;
}

ir::Dim GraphBuilder::dimension(const Dimension& dim, std::string_view value, std::size_t index) {
  if (dim.value && *dim.value >= 0) return ir::Dim(*dim.value);
  if (!dim.parameter.empty()) return ir::Dim::symbol(symbol(dim.parameter));
  return ir::Dim::symbol(symbol("dim_" + std::string(value) + "_" + std::to_string(index)));
}

Status GraphBuilder::add_main_inputs(const GraphInfo& info, Scope& scope) {
  // Symbols that the file names come first, so that ours step aside.
  for (const ValueInfo& input : info.inputs) {
    for (const Dimension& dim : input.shape.value_or(std::vector<Dimension>{})) {
      if (!dim.parameter.empty()) symbol(dim.parameter);
    }
  }
  for (const ValueInfo& input : info.inputs) {
    if (input.name.empty()) return invalid_file("a graph input has no name");
    // Before IR 4 every initializer was an input, too; later that makes it a default. Constants are
    // what we take it for.
    if (scope.names.contains(input.name) && !main_inputs_.contains(input.name)) continue;
    THIMBLE_ASSIGN(const ir::DType type, tensor_type(input));
    std::optional<ir::Shape> shape;
    if (input.shape) {
      shape.emplace();
      for (std::size_t i = 0; i < input.shape->size(); ++i) {
        shape->push_back(dimension((*input.shape)[i], input.name, i));
      }
    }
    Binding binding;
    binding.value = scope.frame.graph.add_input(std::string(input.name), type, shape);
    main_inputs_.emplace(input.name, binding.value);
    if (is_half(type)) {
      binding.half = type;
      const std::string name(input.name);
      binding.value = cast(scope.frame, binding.value, ir::DType::kF32, name, fresh(name + "_f32"));
    }
    THIMBLE_TRY(define(input.name, binding, scope));
  }
  return ok();
}

std::optional<ir::Shape> GraphBuilder::output_shape(const ValueInfo& output) {
  if (!output.shape) return std::nullopt;
  ir::Shape shape;
  for (const Dimension& dim : *output.shape) {
    const bool known = (dim.value && *dim.value >= 0) || !dim.parameter.empty();
    if (!known) return std::nullopt;
    shape.push_back(dimension(dim, output.name, shape.size()));
  }
  return shape;
}

Expected<ir::ValueId> GraphBuilder::main_output(const ValueInfo& output, Scope& scope) {
  ir::Graph& graph = scope.frame.graph;
  const std::string name(output.name);
  const auto input = main_inputs_.find(output.name);
  if (input != main_inputs_.end()) return input->second;
  THIMBLE_ASSIGN(const ir::ValueId value, computed(output.name, scope));
  const auto half = half_outputs_.find(output.name);
  if (half != half_outputs_.end()) return cast(scope.frame, value, half->second, name, name);
  if (graph.value(value).name == name) return value;
  ir::Node node;
  node.op = "Identity";
  node.name = name;
  node.inputs = {value};
  return graph.node(graph.add_node(std::move(node), {name})).outputs[0];
}

Status GraphBuilder::add_main_outputs(const GraphInfo& info, Scope& scope) {
  ir::Graph& graph = scope.frame.graph;
  std::vector<ir::ValueId> outputs;
  std::unordered_set<std::string_view> seen;
  for (const ValueInfo& output : info.outputs) {
    if (!seen.insert(output.name).second) {
      return invalid_file("a graph output is listed twice").at_tensor(std::string(output.name));
    }
    if (output.kind != TypeKind::kMissing) THIMBLE_TRY(tensor_type(output));
    THIMBLE_ASSIGN(const ir::ValueId id, main_output(output, scope));
    outputs.push_back(id);
    ir::Value& value = graph.value(id);
    if (!value.producer.valid()) continue;
    if (output.kind != TypeKind::kMissing) value.dtype = *dtype_of(output.element_type);
    if (!value.shape) value.shape = output_shape(output);
  }
  graph.set_outputs(std::move(outputs));
  return ok();
}

// The shape is taken where it is all numbers: symbols of a body are not those of the main graph.
Status GraphBuilder::add_body_input(const ValueInfo& input, Scope& scope) {
  if (input.name.empty()) return invalid_file("a body's input has no name");
  if (scope.names.contains(input.name)) return ok();  // an initializer, before IR 4
  ir::DType type = ir::DType::kUndefined;
  if (input.kind != TypeKind::kMissing && input.element_type != 0) {
    THIMBLE_ASSIGN(type, tensor_type(input));
  } else if (input.kind > TypeKind::kTensor) {
    THIMBLE_TRY(tensor_type(input));
  }
  std::optional<ir::Shape> shape;
  if (input.shape) {
    shape.emplace();
    for (const Dimension& dim : *input.shape) {
      if (shape && dim.value && *dim.value >= 0) {
        shape->push_back(ir::Dim(*dim.value));
      } else {
        shape.reset();
      }
    }
  }
  Binding binding;
  binding.value = scope.frame.graph.add_input(result_name(input.name, scope), lifted(type), shape);
  binding.half = is_half(type) ? type : ir::DType::kUndefined;
  return define(input.name, binding, scope);
}

Expected<ir::GraphId> GraphBuilder::add_body(const GraphInfo& info, Scope& around) {
  Frame frame;
  frame.graph.name = info.name;
  Scope scope{frame, &around, around.call, {}};
  THIMBLE_TRY(add_initializers(info, scope));
  std::unordered_set<std::string_view> seen;
  for (const ValueInfo& input : info.inputs) {
    if (!seen.insert(input.name).second) {
      return invalid_file("the name '" + std::string(input.name) + "' is defined twice");
    }
    THIMBLE_TRY(add_body_input(input, scope));
  }
  THIMBLE_TRY(add_nodes(info.nodes, scope));
  std::vector<ir::ValueId> outputs;
  for (const ValueInfo& output : info.outputs) {
    if (output.kind > TypeKind::kTensor) THIMBLE_TRY(tensor_type(output));
    THIMBLE_ASSIGN(const ir::ValueId value, computed(output.name, scope));
    outputs.push_back(value);
  }
  frame.graph.set_outputs(std::move(outputs));
  model_.graphs.push_back(std::move(frame.graph));
  return ir::GraphId{static_cast<std::uint32_t>(model_.graphs.size() - 1)};
}

}  // namespace thimble::formats::onnx

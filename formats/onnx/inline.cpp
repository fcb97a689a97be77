// Model-local functions: a call becomes the function's nodes. Names inside get a prefix that
// belongs to the call, results the caller's names.

#include "formats/onnx/builder.h"
#include "ir/ops/schema.h"

namespace thimble::formats::onnx {
namespace {

constexpr int kMaxCallDepth = 64;
// Functions that call functions can grow without bound out of a small file.
constexpr std::uint64_t kMaxInlinedBytes = 64 << 20;

std::uint64_t size_of(const AttributeInfo& attribute) {
  std::uint64_t size = 64 + attribute.name.size() + attribute.text.size() +
                       attribute.reals.size() * sizeof(float) +
                       attribute.integers.size() * sizeof(std::int64_t);
  for (const std::string_view text : attribute.texts) size += 32 + text.size();
  return size;
}

}  // namespace

// An operator that we know by itself needs no body.
const FunctionInfo* GraphBuilder::function_of(const NodeInfo& node) const {
  const auto found = functions_.find({node.domain, node.op});
  if (found == functions_.end()) return nullptr;
  if (node.domain.empty() && ir::find_operator("", node.op) != nullptr) return nullptr;
  for (const FunctionInfo* function : found->second) {
    if (function->overload == node.overload) return function;
  }
  return nullptr;
}

// What a node of a function adds to the graph, about.
Status GraphBuilder::spend(const NodeInfo& node) {
  inlined_bytes_ += 128 + node.name.size();
  for (const std::string_view name : node.inputs) inlined_bytes_ += 16 + name.size();
  for (const std::string_view name : node.outputs) inlined_bytes_ += 64 + name.size();
  for (const AttributeInfo& attribute : node.attributes) inlined_bytes_ += size_of(attribute);
  if (inlined_bytes_ <= kMaxInlinedBytes) return ok();
  return unsupported("the model's functions grow too large when they are inlined");
}

Status GraphBuilder::check_call(const NodeInfo& node, const FunctionInfo& function,
                                const Scope& scope) const {
  for (const Call* call = scope.call; call != nullptr; call = call->caller) {
    if (call->function == &function) return invalid_file("the function calls itself");
  }
  if (scope.call != nullptr && scope.call->depth >= kMaxCallDepth) {
    return invalid_file("functions call functions too deep");
  }
  if (node.inputs.size() > function.inputs.size() ||
      node.outputs.size() > function.outputs.size()) {
    return invalid_file("the call has more inputs or results than the function");
  }
  for (const OpsetImport& opset : function.opsets) {
    if (opset.domain.empty() && opset.version != info_.opset()) {
      return unsupported("the function is written for opset " + std::to_string(opset.version) +
                         ", the model for " + std::to_string(info_.opset()))
          .fix("inline the functions when exporting the model");
    }
  }
  return ok();
}

Status GraphBuilder::bind_attributes(const NodeInfo& node, const Scope& scope, Call& call) const {
  for (const AttributeInfo& attribute : call.function->defaults) {
    call.attributes[attribute.name] = &attribute;
  }
  for (const AttributeInfo& attribute : node.attributes) {
    THIMBLE_ASSIGN(const AttributeInfo* meant, resolve(attribute, scope));
    if (meant != nullptr) call.attributes[attribute.name] = meant;
  }
  return ok();
}

Status GraphBuilder::inline_call(const NodeInfo& node, const FunctionInfo& function, Scope& scope) {
  THIMBLE_TRY(check_call(node, function, scope));
  Call call;
  call.function = &function;
  call.caller = scope.call;
  call.depth = scope.call == nullptr ? 1 : scope.call->depth + 1;
  call.prefix = std::string(function.name) + "_" + std::to_string(++calls_) + "/";
  THIMBLE_TRY(bind_attributes(node, scope, call));
  Scope inner{scope.frame, nullptr, &call, {}};
  for (std::size_t i = 0; i < function.inputs.size(); ++i) {
    Binding binding;  // absent, unless the call gives it
    if (i < node.inputs.size() && !node.inputs[i].empty()) {
      THIMBLE_ASSIGN(binding, find(node.inputs[i], scope));
      binding.captured = false;
    }
    THIMBLE_TRY(define(function.inputs[i], binding, inner));
  }
  for (std::size_t i = 0; i < node.outputs.size(); ++i) {
    if (!node.outputs[i].empty()) {
      call.output_names[function.outputs[i]] = result_name(node.outputs[i], scope);
    }
  }
  THIMBLE_TRY(add_nodes(function.nodes, inner));
  for (std::size_t i = 0; i < node.outputs.size(); ++i) {
    if (node.outputs[i].empty()) continue;
    THIMBLE_ASSIGN(Binding binding, find(function.outputs[i], inner));
    THIMBLE_TRY(define(node.outputs[i], binding, scope));
  }
  return ok();
}

}  // namespace thimble::formats::onnx

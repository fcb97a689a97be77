#include "formats/onnx/builder.h"

namespace thimble::formats::onnx {

Status GraphBuilder::define(std::string_view name, Binding binding, Scope& scope) {
  const auto [place, is_new] = scope.names.try_emplace(name, binding);
  if (is_new) return ok();
  if (!place->second.captured) {
    return invalid_file("the name '" + std::string(name) + "' is defined twice");
  }
  place->second = binding;
  return ok();
}

GraphBuilder::Binding GraphBuilder::capture(const Binding& outer, Frame& from, Frame& into) {
  const ir::Value value = from.graph.value(outer.value);
  if (const auto taken = into.graph.find_value(value.name)) {
    ir::rename(model_, into.graph, *taken, value.name + ".inner");
  }
  Binding inner = outer;
  inner.value = into.graph.add_capture(value.name, value.dtype, value.shape);
  return inner;
}

Expected<GraphBuilder::Binding> GraphBuilder::find(std::string_view name, Scope& scope) {
  if (const auto found = scope.names.find(name); found != scope.names.end()) return found->second;
  if (scope.outer == nullptr) {
    return invalid_file("'" + std::string(name) +
                        "' is read, but computed nowhere, or from what reads it");
  }
  THIMBLE_ASSIGN(Binding binding, find(name, *scope.outer));
  if (binding.kind == Binding::Kind::kValue && binding.value.valid()) {
    binding = capture(binding, scope.outer->frame, scope.frame);
  }
  binding.captured = true;
  scope.names.emplace(name, binding);
  return binding;
}

Expected<ir::ValueId> GraphBuilder::use(std::string_view name, Scope& scope) {
  if (name.empty()) return ir::ValueId{};
  THIMBLE_ASSIGN(const Binding binding, find(name, scope));
  Expected<ir::ValueId> value = value_of(binding, scope.frame);
  if (!value && value.error().place.tensor.empty()) {
    return std::move(value).error().at_tensor(std::string(name));
  }
  return value;
}

Expected<ir::ValueId> GraphBuilder::computed(std::string_view name, Scope& scope) {
  THIMBLE_ASSIGN(const ir::ValueId value, use(name, scope));
  if (!value.valid()) {
    return invalid_file("a graph's output '" + std::string(name) + "' is not computed");
  }
  return value;
}

Expected<ir::ValueId> GraphBuilder::value_of(const Binding& binding, Frame& frame) {
  if (binding.kind == Binding::Kind::kValue) return binding.value;
  if (binding.kind == Binding::Kind::kRefused) {
    return unsupported(std::string(binding.refusal) + " are not supported");
  }
  const auto known = frame.constants.find(binding.constant);
  if (known != frame.constants.end()) return known->second;
  Constant& constant = constants_[binding.constant];
  THIMBLE_ASSIGN(const ir::WeightId id, weight_of_constant(constant));
  const ir::Weight& weight = model_.weight(id);
  const ir::ValueId value =
      frame.graph.add_constant(id, constant.name, ir::constant_type(model_, weight),
                               ir::Shape(weight.dims.begin(), weight.dims.end()));
  frame.constants.emplace(binding.constant, value);
  return value;
}

std::uint32_t GraphBuilder::add_constant(const void* key, Constant constant) {
  const auto index = static_cast<std::uint32_t>(constants_.size());
  const auto [place, is_new] = constant_of_.try_emplace(key, index);
  if (is_new) constants_.push_back(std::move(constant));
  return place->second;
}

Expected<ir::WeightId> GraphBuilder::weight_of_constant(Constant& constant) {
  if (constant.weight.valid()) return constant.weight;
  THIMBLE_ASSIGN(ir::Weight weight, weight_of(*constant.tensor, files_));
  weight.name = constant.name;
  constant.weight = model_.add_weight(std::move(weight));
  return constant.weight;
}

std::string GraphBuilder::result_name(std::string_view name, const Scope& scope) const {
  if (name.empty()) return {};
  if (scope.call != nullptr) {
    const auto output = scope.call->output_names.find(name);
    const bool outermost = scope.outer == nullptr;  // a body may use an output's name for its own
    if (outermost && output != scope.call->output_names.end()) return output->second;
    return scope.call->prefix + std::string(name);
  }
  const bool lifted = scope.outer == nullptr && half_outputs_.contains(name);
  return lifted ? fresh(std::string(name) + "_f32") : std::string(name);
}

}  // namespace thimble::formats::onnx

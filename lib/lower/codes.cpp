// Nodes between fixed scales: their values stay 8-bit codes, channels last, from one to the next. A
// reader that isn't one of them gets floats.

#include <algorithm>
#include <cmath>

#include "ir/integer_forms.h"
#include "kernels/coded.h"
#include "lower/coded.h"
#include "lower/lowering.h"

namespace thimble::lower {
namespace {

using ir::IntegerForm;

struct Codes {
  float scale = 1;
  std::int32_t zero = 0;  // 0..255
};

Codes codes_of(const ir::Value& value) {
  return {value.static_scale.scale, value.static_scale.zero + 127};
}

std::vector<program::Attribute> scaling(const Codes& codes) {
  return {floats("scale", {codes.scale}), ints("zero", {codes.zero})};
}

// An image with a fixed scale that the graph computes or is given.
bool has_codes(const Lowering& lowering, ir::ValueId id) {
  if (!id.valid()) return false;
  const ir::Value& value = lowering.graph().value(id);
  const ir::Shape* shape = lowering.shape(id);
  const bool codes = value.activation == ir::ActivationScheme::kStatic &&
                     value.static_scale.zero >= -127 && value.static_scale.zero <= 127;
  return codes && !value.weight.valid() && value.dtype == ir::DType::kF32 && shape != nullptr &&
         shape->size() >= 3 && shape->size() <= 5;
}

// Where the node's codes go: past a Relu or Clip behind what computes numbers.
ir::ValueId coded_result(const Lowering& lowering, const ir::Node& node) {
  const IntegerForm form = ir::integer_form(node);
  if (form == IntegerForm::kMovement || form == IntegerForm::kJoin) return node.outputs[0];
  return ir::scaled_result(lowering.graph(), node);
}

struct Limits {
  std::int64_t low = 0, high = 255;
};

std::int64_t code_of(float x, const Codes& codes) {
  const float units = std::nearbyint(x / codes.scale) + static_cast<float>(codes.zero);
  return static_cast<std::int64_t>(std::clamp(units, 0.0f, 255.0f));
}

// The codes that a Relu or Clip between a node and its codes leaves; nothing where it isn't known.
std::optional<Limits> limits_of(const Lowering& lowering, const ir::Node& node) {
  const ir::ValueId result = coded_result(lowering, node);
  Limits limits;
  if (result == node.outputs[0]) return limits;
  const ir::Node& cut = lowering.graph().node(lowering.graph().value(result).producer);
  const Codes codes = codes_of(lowering.graph().value(result));
  if (cut.is("Relu")) {
    limits.low = codes.zero;
    return limits;
  }
  for (std::size_t i = 1; i < std::min<std::size_t>(cut.inputs.size(), 3); ++i) {
    if (!cut.inputs[i].valid()) continue;
    const auto bound = lowering.constant_scalar(cut.inputs[i]);
    if (!bound || std::isnan(*bound)) return std::nullopt;
    (i == 1 ? limits.low : limits.high) = code_of(*bound, codes);
  }
  return limits.low <= limits.high ? std::optional(limits) : std::nullopt;
}

bool same_dims(const Lowering& lowering, ir::ValueId a, ir::ValueId b) {
  return *lowering.shape(a) == *lowering.shape(b);
}

bool may_convolve(const Lowering& lowering, ir::NodeId id, const ir::Node& node) {
  const auto conv = ir::match_convolution(lowering.model(), lowering.graph(), id);
  if (!conv || !holds_codes(lowering.model().weight(conv->weight))) return false;
  if (node.inputs.size() < 3 || !node.inputs[2].valid()) return true;
  const ir::WeightId bias = lowering.graph().value(node.inputs[2]).weight;
  return bias.valid() && lowering.model().weight(bias).encoding.is_dense() &&
         lowering.model().weight(bias).dtype == ir::DType::kF32 &&
         lowering.model().weight(bias).element_count() == conv->outputs;
}

// Whole images whose sums 32 bits hold.
bool may_average(const Lowering& lowering, const ir::Node& node) {
  std::int64_t places = 1;
  const ir::Shape& shape = *lowering.shape(node.inputs[0]);
  for (std::size_t d = 2; d < shape.size(); ++d) {
    const auto size = shape[d].constant();
    if (!size || *size < 1 || *size > kernels::kMostCodedInputs) return false;
    places *= *size;
    if (places > kernels::kMostCodedInputs) return false;
  }
  return true;
}

bool small_windows(const ir::Node& node) {
  std::int64_t taps = 1;
  for (const std::int64_t size : node.integers("kernel_shape")) {
    if (size < 1 || size > kernels::kMostCodedInputs) return false;
    taps *= size;
    if (taps > kernels::kMostCodedInputs) return false;
  }
  return true;
}

bool computes_codes(const Lowering& lowering, ir::NodeId id, const ir::Node& node) {
  if (node.op == "Conv") return may_convolve(lowering, id, node);
  if (node.op == "Add" || node.op == "Sum") {
    return node.inputs.size() == 2 && same_dims(lowering, node.inputs[0], node.inputs[1]) &&
           same_dims(lowering, node.inputs[0], node.outputs[0]);
  }
  if (node.op == "MaxPool" || node.op == "AveragePool") return small_windows(node);
  if (node.op == "GlobalAveragePool") return may_average(lowering, node);
  if (node.op != "Concat") return false;
  const std::int64_t axis = node.integer("axis", 0);
  const auto rank = static_cast<std::int64_t>(lowering.shape(node.outputs[0])->size());
  return axis == 1 || axis == 1 - rank;
}

Status lower_codes_of_conv(Lowering& lowering, ir::NodeId id, const ir::Node& node,
                           std::vector<program::Attribute> attributes, std::int32_t y) {
  const auto conv = ir::match_convolution(lowering.model(), lowering.graph(), id);
  const ir::Graph& graph = lowering.graph();
  const Codes from = codes_of(graph.value(conv->input));
  const Codes to = codes_of(graph.value(coded_result(lowering, node)));
  CodedConvolution coded{.weight = lowering.model().weight(conv->weight),
                         .bias = {},
                         .group = conv->group,
                         .x_scale = from.scale,
                         .y_scale = to.scale,
                         .x_zero = from.zero};
  if (node.inputs.size() > 2 && node.inputs[2].valid())
    coded.bias = lowering.model().weight(graph.value(node.inputs[2]).weight);
  const auto vector = [&](const char* name, program::Type type) {
    return program::Tensor{.name = node.name + name, .type = type, .dims = {coded.weight.dims[0]}};
  };
  THIMBLE_ASSIGN(const std::int32_t x, lowering.code_slot(node, conv->input));
  const auto constant = [&](program::Tensor tensor, std::unique_ptr<Payload> payload) {
    return lowering.add_constant_slot(conv->weight_value, std::move(tensor), std::move(payload));
  };
  const std::int32_t w = constant(coded_tensor(coded), coded_payload(coded));
  const std::int32_t offset =
      constant(vector("/offset", program::Type::kI32), offset_payload(coded));
  const std::int32_t factor =
      constant(vector("/factor", program::Type::kF32), factor_payload(coded));
  attributes.push_back(ints("x_zero", {from.zero}));
  lowering.emit(program::Op::kConvCodes, node, {x, w, offset, factor}, {y}).attributes =
      std::move(attributes);
  return ok();
}

Status lower_codes_of_sum(Lowering& lowering, const ir::Node& node,
                          std::vector<program::Attribute> attributes, std::int32_t y) {
  const ir::Graph& graph = lowering.graph();
  const Codes a = codes_of(graph.value(node.inputs[0])), b = codes_of(graph.value(node.inputs[1]));
  const Codes to = codes_of(graph.value(coded_result(lowering, node)));
  const float a_factor = a.scale / to.scale, b_factor = b.scale / to.scale;
  const float shift =
      -(static_cast<float>(a.zero) * a_factor + static_cast<float>(b.zero) * b_factor);
  THIMBLE_ASSIGN(const std::int32_t left, lowering.code_slot(node, node.inputs[0]));
  THIMBLE_ASSIGN(const std::int32_t right, lowering.code_slot(node, node.inputs[1]));
  attributes.push_back(floats("factors", {a_factor, b_factor, shift}));
  lowering.emit(program::Op::kMixCodes, node, {left, right}, {y}).attributes =
      std::move(attributes);
  return ok();
}

Status lower_codes_of_join(Lowering& lowering, const ir::Node& node,
                           std::vector<program::Attribute> attributes, std::int32_t y) {
  const Codes to = codes_of(lowering.graph().value(node.outputs[0]));
  std::vector<std::int32_t> inputs;
  std::vector<float> factors;
  std::vector<std::int64_t> zeros;
  for (const ir::ValueId input : node.inputs) {
    const Codes from = codes_of(lowering.graph().value(input));
    THIMBLE_ASSIGN(const std::int32_t x, lowering.code_slot(node, input));
    inputs.push_back(x);
    factors.push_back(from.scale / to.scale);
    zeros.push_back(from.zero);
  }
  attributes.push_back(floats("factors", std::move(factors)));
  attributes.push_back(ints("zeros", std::move(zeros)));
  lowering.emit(program::Op::kConcatCodes, node, std::move(inputs), {y}).attributes =
      std::move(attributes);
  return ok();
}

// The largest of codes is a code of the same scale: it is brought to the result's where they
// differ.
Status lower_codes_of_pool(Lowering& lowering, const ir::Node& node,
                           std::vector<program::Attribute> attributes, std::int32_t y) {
  const Codes from = codes_of(lowering.graph().value(node.inputs[0]));
  const Codes to = codes_of(lowering.graph().value(coded_result(lowering, node)));
  THIMBLE_ASSIGN(const std::int32_t x, lowering.code_slot(node, node.inputs[0]));
  const float factor = from.scale / to.scale;
  if (node.op == "MaxPool") {
    std::int32_t most = y;
    const bool same = from.scale == to.scale && from.zero == to.zero;
    if (!same) {
      THIMBLE_ASSIGN(most, lowering.plain_code_slot(node.outputs[0], "/largest"));
    }
    THIMBLE_ASSIGN(auto windows, lowering.attributes_of(node));
    lowering.emit(program::Op::kMaxPoolCodes, node, {x}, {most}).attributes = std::move(windows);
    if (same) return ok();
    lowering.emit(program::Op::kConcatCodes, node, {most}, {y}).attributes = {
        floats("factors", {factor}), ints("zeros", {from.zero}), ints("zero", {to.zero})};
    return ok();
  }
  attributes.push_back(floats("factor", {factor}));
  attributes.push_back(ints("x_zero", {from.zero}));
  if (node.op == "GlobalAveragePool") attributes.push_back(ints("global", {1}));
  lowering.emit(program::Op::kAveragePoolCodes, node, {x}, {y}).attributes = std::move(attributes);
  return ok();
}

}  // namespace

bool Lowering::on_codes(ir::NodeId id) const {
  auto& known = scope().on_codes;
  if (const auto found = known.find(id.index); found != known.end()) return found->second;
  const ir::Node& node = graph().node(id);
  const IntegerForm form = ir::integer_form(node);
  bool on = form != IntegerForm::kNone && form != IntegerForm::kCut && needed(id);
  if (on) {
    const std::vector<ir::ValueId> inputs = ir::scaled_inputs(node);
    on = std::all_of(inputs.begin(), inputs.end(),
                     [&](ir::ValueId input) { return has_codes(*this, input); }) &&
         has_codes(*this, coded_result(*this, node)) && computes_codes(*this, id, node) &&
         limits_of(*this, node).has_value();
  }
  known[id.index] = on;
  return on;
}

Expected<std::int32_t> Lowering::plain_code_slot(ir::ValueId value, const char* suffix) {
  THIMBLE_ASSIGN(program::Slot described, describe(value));
  described.name += suffix;
  described.type = program::Type::kU8;
  std::rotate(described.dims.begin() + 1, described.dims.begin() + 2, described.dims.end());
  return add_slot(std::move(described));
}

Expected<std::int32_t> Lowering::code_slot(const ir::Node& reader, ir::ValueId value) {
  auto& slots = scope().code_slots;
  if (const auto known = slots.find(value.index); known != slots.end()) return known->second;
  THIMBLE_ASSIGN(const std::int32_t x, slot(value));
  THIMBLE_ASSIGN(const std::int32_t y, plain_code_slot(value, "/codes"));
  emit(program::Op::kEncodeImage, reader, {x}, {y}).attributes =
      scaling(codes_of(graph().value(value)));
  slots[value.index] = y;
  return y;
}

Status Lowering::lower_on_codes(ir::NodeId id) {
  const ir::Node& node = graph().node(id);
  const ir::ValueId result = coded_result(*this, node);
  const Codes to = codes_of(graph().value(result));
  const Limits limits = *limits_of(*this, node);
  THIMBLE_ASSIGN(std::vector<program::Attribute> attributes, attributes_of(node));
  attributes.push_back(ints("zero", {to.zero}));
  attributes.push_back(ints("low", {limits.low}));
  attributes.push_back(ints("high", {limits.high}));
  THIMBLE_ASSIGN(const std::int32_t y, plain_code_slot(result, "/codes"));
  if (node.op == "Conv") {
    THIMBLE_TRY(lower_codes_of_conv(*this, id, node, std::move(attributes), y));
  } else if (node.op == "Concat") {
    THIMBLE_TRY(lower_codes_of_join(*this, node, std::move(attributes), y));
  } else if (node.op == "Add" || node.op == "Sum") {
    THIMBLE_TRY(lower_codes_of_sum(*this, node, std::move(attributes), y));
  } else {
    THIMBLE_TRY(lower_codes_of_pool(*this, node, std::move(attributes), y));
  }
  scope().code_slots[result.index] = y;
  if (!(result == node.outputs[0])) mark_done(graph().value(result).producer);
  const std::vector<ir::NodeId> users = graph().users(result);
  const bool codes_only = std::all_of(
      users.begin(), users.end(), [&](ir::NodeId user) { return !needed(user) || on_codes(user); });
  if (codes_only && !graph().is_output(result) && !is_captured(result)) return ok();
  THIMBLE_ASSIGN(const std::int32_t floats_of, slot(result));
  emit(program::Op::kDecodeImage, node, {y}, {floats_of}).attributes = scaling(to);
  scope().decoded.insert(result.index);
  return ok();
}

}  // namespace thimble::lower

// Convolutions, with what follows them as far as it works on their sums: a batch normalization, an
// addition, a function. One with a quantized weight multiplies tiles; of f32, panels; any other is
// the operator itself. A batch normalization by itself is a depthwise convolution of one tap.

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/linear.h"
#include "lower/lowering.h"
#include "lower/panels.h"

namespace thimble::lower {
namespace {

using program::UnaryFunction;

// y = scale * x + bias by channel.
struct Affine {
  std::vector<float> scale, bias;
};

// Of a BatchNormalization with constant parameters: (x, gamma, beta, mean, variance).
std::optional<Affine> affine_of(const Lowering& lowering, const ir::Node& node) {
  if (!node.is("BatchNormalization") || node.inputs.size() != 5 ||
      node.integer("training_mode", 0) != 0) {
    return std::nullopt;
  }
  for (std::size_t i = 1; i < node.outputs.size(); ++i) {
    if (node.outputs[i].valid()) return std::nullopt;
  }
  std::vector<float> parameters[4];
  for (std::size_t i = 0; i < 4; ++i) {
    const ir::WeightId id = lowering.graph().value(node.inputs[i + 1]).weight;
    if (!id.valid() || lowering.model().weight(id).dtype != ir::DType::kF32) return std::nullopt;
    auto values = ir::read_floats(lowering.model().weight(id));
    if (!values || values->size() != (i == 0 ? values->size() : parameters[0].size()))
      return std::nullopt;
    parameters[i] = std::move(*values);
  }
  const float epsilon = node.real("epsilon", 1e-5f);
  Affine affine;
  for (std::size_t c = 0; c < parameters[0].size(); ++c) {
    affine.scale.push_back(parameters[0][c] / std::sqrt(parameters[3][c] + epsilon));
    affine.bias.push_back(std::fma(-parameters[2][c], affine.scale[c], parameters[1][c]));
  }
  return affine;
}

// A constant with one number a channel, of an image of `rank` dims.
std::optional<std::vector<float>> channel_vector(const Lowering& lowering, ir::ValueId value,
                                                 std::size_t channels, std::size_t rank) {
  const ir::WeightId id = lowering.graph().value(value).weight;
  if (!id.valid()) return std::nullopt;
  const ir::Weight& weight = lowering.model().weight(id);
  const std::vector<std::int64_t>& dims = weight.dims;
  const std::size_t spatial = rank - 2;
  const bool placed = dims.size() == spatial + 1 || (dims.size() == rank && dims[0] == 1);
  if (weight.dtype != ir::DType::kF32 || !placed ||
      weight.element_count() != static_cast<std::int64_t>(channels) ||
      dims[dims.size() - spatial - 1] != static_cast<std::int64_t>(channels)) {
    return std::nullopt;
  }
  auto values = ir::read_floats(weight);
  if (!values) return std::nullopt;
  return std::move(*values);
}

// What `node` does to `value`, if that is a product or a sum by channel.
std::optional<Affine> affine_by(const Lowering& lowering, const ir::Node& node, ir::ValueId value,
                                std::size_t channels) {
  if (node.inputs[0] == value) {
    if (auto norm = affine_of(lowering, node)) return norm;
  }
  const ir::Shape* shape = lowering.shape(value);
  if (!(node.is("Mul") || node.is("Add")) || shape == nullptr || shape->size() < 3)
    return std::nullopt;
  const ir::ValueId other = node.inputs[0] == value ? node.inputs[1] : node.inputs[0];
  auto values = channel_vector(lowering, other, channels, shape->size());
  if (!values) return std::nullopt;
  if (node.is("Mul")) return Affine{std::move(*values), std::vector<float>(channels, 0.0f)};
  return Affine{std::vector<float>(channels, 1.0f), std::move(*values)};
}

// `after` what `first` gave.
Affine composed(Affine first, const Affine& after) {
  for (std::size_t c = 0; c < first.scale.size(); ++c) {
    first.scale[c] *= after.scale[c];
    first.bias[c] = std::fma(first.bias[c], after.scale[c], after.bias[c]);
  }
  return first;
}

// What an instruction does with a convolution's sums, and where the result goes.
struct Finish {
  ir::ValueId output;
  std::optional<Affine> affine;
  ir::ValueId addend;  // invalid: none
  std::vector<program::Attribute> attributes;
};

const ir::Node* only_reader(const Lowering& lowering, ir::ValueId value, ir::NodeId& id) {
  const auto user = lowering.only_user(value);
  if (!user || lowering.is_done(*user)) return nullptr;
  id = *user;
  return &lowering.graph().node(*user);
}

void take_affine(Lowering& lowering, std::size_t outputs, Finish& finish) {
  ir::NodeId id;
  while (const ir::Node* node = only_reader(lowering, finish.output, id)) {
    const auto affine = affine_by(lowering, *node, finish.output, outputs);
    if (!affine || affine->scale.size() != outputs) return;
    finish.affine = finish.affine ? composed(std::move(*finish.affine), *affine) : *affine;
    finish.output = node->outputs[0];
    lowering.mark_done(id);
  }
}

// Another value of the same shape, if it is there already.
void take_addend(Lowering& lowering, Finish& finish) {
  ir::NodeId id;
  const ir::Node* node = only_reader(lowering, finish.output, id);
  if (node == nullptr || !(node->is("Add") || node->is("Sum")) || node->inputs.size() != 2) return;
  const ir::ValueId other = node->inputs[0] == finish.output ? node->inputs[1] : node->inputs[0];
  const ir::Shape *own = lowering.shape(finish.output), *added = lowering.shape(other);
  if (own == nullptr || added == nullptr || !(*own == *added) || other == finish.output) return;
  if (lowering.is_constant(other) || !lowering.has_slot(other) || lowering.reads_rounded(id, other))
    return;
  finish.addend = other;
  finish.output = node->outputs[0];
  lowering.mark_done(id);
}

std::optional<UnaryFunction> function_of(const ir::Node& node) {
  if (!node.domain.empty()) return std::nullopt;
  constexpr UnaryFunction kFused[] = {UnaryFunction::kRelu,    UnaryFunction::kSigmoid,
                                      UnaryFunction::kTanh,    UnaryFunction::kHardSwish,
                                      UnaryFunction::kSilu,    UnaryFunction::kGeluErf,
                                      UnaryFunction::kGeluTanh};
  const auto function = unary_function(node);
  const bool fused =
      function && std::find(std::begin(kFused), std::end(kFused), *function) != std::end(kFused);
  return fused ? function : std::nullopt;
}

// The bounds of a Clip that are constant or absent.
std::optional<std::vector<float>> bounds_of(const Lowering& lowering, const ir::Node& node) {
  if (!node.is("Clip")) return std::nullopt;
  constexpr float kAll = std::numeric_limits<float>::infinity();
  std::vector<float> bounds = {-kAll, kAll};
  for (std::size_t i = 1; i < std::min<std::size_t>(node.inputs.size(), 3); ++i) {
    if (!node.inputs[i].valid()) continue;
    const auto bound = lowering.constant_scalar(node.inputs[i]);
    if (!bound) return std::nullopt;
    bounds[i - 1] = *bound;
  }
  return bounds;
}

void take_function(Lowering& lowering, Finish& finish) {
  ir::NodeId id;
  const ir::Node* node = only_reader(lowering, finish.output, id);
  if (node == nullptr || !(node->inputs[0] == finish.output)) return;
  if (const auto function = function_of(*node)) {
    finish.attributes.push_back(ints("function", {static_cast<std::int64_t>(*function)}));
  } else if (const auto bounds = bounds_of(lowering, *node)) {
    finish.attributes.push_back(floats("clip", *bounds));
  } else {
    return;
  }
  finish.output = node->outputs[0];
  lowering.mark_done(id);
}

Finish finish_of(Lowering& lowering, ir::ValueId output, std::size_t outputs,
                 std::optional<Affine> affine = std::nullopt) {
  Finish finish{output, std::move(affine), {}, {}};
  take_affine(lowering, outputs, finish);
  take_addend(lowering, finish);
  take_function(lowering, finish);
  return finish;
}

// A vector that lowering computed, as a constant named after `value`.
std::int32_t vector_slot(Lowering& lowering, ir::ValueId value, std::string name,
                         std::vector<std::int64_t> dims, std::vector<float> values) {
  program::Tensor tensor{.name = std::move(name), .type = program::Type::kF32, .dims = {}};
  tensor.dims = std::move(dims);
  return lowering.add_constant_slot(value, std::move(tensor), values_payload(std::move(values)));
}

// The inputs from the bias on: (b, addend, scale). `bias` is the convolution's own.
Status add_finish(Lowering& lowering, const ir::Node& node, ir::ValueId bias, Finish& finish,
                  std::vector<std::int32_t>& inputs) {
  std::int32_t scale = -1;
  if (finish.affine) {
    Affine& affine = *finish.affine;
    if (bias.valid()) {
      const ir::WeightId id = lowering.graph().value(bias).weight;
      THIMBLE_ASSIGN(const std::vector<float> own, ir::read_floats(lowering.model().weight(id)));
      for (std::size_t c = 0; c < own.size() && c < affine.bias.size(); ++c)
        affine.bias[c] = std::fma(own[c], affine.scale[c], affine.bias[c]);
    }
    const auto count = static_cast<std::int64_t>(affine.scale.size());
    const ir::ValueId name = node.inputs[1];
    inputs.push_back(vector_slot(lowering, name, node.name + "/shift", {count}, affine.bias));
    scale = vector_slot(lowering, name, node.name + "/scale", {count}, affine.scale);
  } else {
    THIMBLE_ASSIGN(const std::int32_t own, lowering.slot(bias));
    inputs.push_back(own);
  }
  THIMBLE_ASSIGN(const std::int32_t addend, lowering.slot(finish.addend));
  inputs.insert(inputs.end(), {addend, scale});
  while (inputs.back() < 0) inputs.pop_back();
  return ok();
}

// Depthwise weights stay as they are.
Expected<std::int32_t> panel_slot(Lowering& lowering, const ir::Convolution& conv) {
  const ir::Weight& weight = lowering.model().weight(conv.weight);
  if (weight.dims[1] == 1 && conv.group > 1) return lowering.slot(conv.weight_value);
  const std::int64_t outputs = conv.outputs / conv.group;
  const auto key = std::pair(conv.weight.index, outputs);
  if (const auto known = lowering.panel_slots().find(key); known != lowering.panel_slots().end())
    return known->second;
  return lowering.panel_slots()[key] = lowering.add_constant_slot(
             conv.weight_value, panel_tensor(weight, outputs), panel_payload(weight, outputs));
}

// Does the panels' instruction compute it? Its weight must be f32 when it gets there.
bool takes_panels(const Lowering& lowering, const ir::Convolution& conv, const ir::Node& node) {
  const ir::Weight& weight = lowering.model().weight(conv.weight);
  const bool bias_known = node.inputs.size() < 3 || !node.inputs[2].valid() ||
                          lowering.graph().value(node.inputs[2]).weight.valid();
  const bool depthwise = weight.dims[1] == 1 && conv.group > 1;
  return weight.element_count() > 0 && lowering.is_f32(conv.input) &&
         lowering.is_f32(conv.output) && lowering.is_f32(conv.weight_value) && bias_known &&
         conv.outputs % conv.group == 0 && (!depthwise || weight.dims.size() <= 4);
}

Status emit(Lowering& lowering, program::Op op, const ir::Node& node,
            std::vector<std::int32_t> inputs, ir::ValueId output,
            std::vector<program::Attribute> more) {
  THIMBLE_ASSIGN(const std::int32_t slot, lowering.slot(output));
  std::vector<program::Attribute> attributes;
  if (node.is("Conv") || node.is("ConvTranspose")) {
    THIMBLE_ASSIGN(attributes, lowering.attributes_of(node));
  }
  for (program::Attribute& attribute : more) attributes.push_back(std::move(attribute));
  lowering.emit(op, node, std::move(inputs), {slot}).attributes = std::move(attributes);
  return ok();
}

Status lower_panels(Lowering& lowering, const ir::Node& node, const ir::Convolution& conv) {
  THIMBLE_ASSIGN(const std::int32_t x, lowering.slot(conv.input));
  THIMBLE_ASSIGN(const std::int32_t w, panel_slot(lowering, conv));
  std::vector<std::int32_t> inputs = {x, w};
  Finish finish = finish_of(lowering, conv.output, static_cast<std::size_t>(conv.outputs));
  const ir::ValueId bias = node.inputs.size() > 2 ? node.inputs[2] : ir::ValueId();
  THIMBLE_TRY(add_finish(lowering, node, bias, finish, inputs));
  return emit(lowering, program::Op::kConvPanels, node, std::move(inputs), finish.output,
              std::move(finish.attributes));
}

Status lower_tiles(Lowering& lowering, const ir::Node& node, const ir::Convolution& conv) {
  THIMBLE_ASSIGN(const std::int32_t x, lowering.slot(conv.input));
  THIMBLE_ASSIGN(const std::int32_t w, lowering.slot(conv.weight_value));
  std::vector<std::int32_t> inputs = {x, w};
  const ir::ValueId bias = node.inputs.size() > 2 ? node.inputs[2] : ir::ValueId();
  Finish finish{conv.output, {}, {}, {}};
  if (lowering.is_constant(bias))
    finish = finish_of(lowering, conv.output, static_cast<std::size_t>(conv.outputs));
  THIMBLE_TRY(add_finish(lowering, node, bias, finish, inputs));
  for (program::Attribute& attribute : activation_attributes(lowering.graph().value(conv.input)))
    finish.attributes.push_back(std::move(attribute));
  return emit(lowering, program::Op::kConvTiles, node, std::move(inputs), finish.output,
              std::move(finish.attributes));
}

// A convolution of f32 whose weight is encoded.
Status lower_decoded(Lowering& lowering, program::Op op, const ir::Node& node) {
  std::vector<std::int32_t> inputs(node.inputs.size(), -1);
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    THIMBLE_ASSIGN(inputs[i],
                   i == 1 ? lowering.kernel_slot(node.inputs[i]) : lowering.slot(node.inputs[i]));
  }
  return emit(lowering, op, node, std::move(inputs), node.outputs[0], {});
}

Status lower_convolution(Lowering& lowering, ir::NodeId id, const ir::Node& node) {
  const auto conv = ir::match_convolution(lowering.model(), lowering.graph(), id);
  if (!conv) return lower_direct(lowering, id, node);
  const ir::Encoding& encoding = lowering.model().weight(conv->weight).encoding;
  if (encoding.is_dense()) {
    return takes_panels(lowering, *conv, node) ? lower_panels(lowering, node, *conv)
                                               : lower_direct(lowering, id, node);
  }
  if (multiplies_tiles(lowering.model(), *conv)) return lower_tiles(lowering, node, *conv);
  return lower_decoded(lowering, program::Op::kConv, node);
}

Status lower_transposed(Lowering& lowering, ir::NodeId id, const ir::Node& node) {
  const ir::ValueId kernel = ir::transposed_weight(lowering.model(), lowering.graph(), node);
  if (!kernel.valid() ||
      lowering.model().weight(lowering.graph().value(kernel).weight).encoding.is_dense())
    return lower_direct(lowering, id, node);
  return lower_decoded(lowering, program::Op::kConvTranspose, node);
}

// By itself: one tap a channel.
Status lower_batch_norm(Lowering& lowering, ir::NodeId id, const ir::Node& node) {
  auto affine = affine_of(lowering, node);
  const ir::Shape* shape = lowering.shape(node.inputs[0]);
  const bool image = shape != nullptr && (shape->size() == 3 || shape->size() == 4);
  if (!affine || !image || !lowering.is_f32(node.inputs[0]))
    return lower_direct(lowering, id, node);
  const auto channels = static_cast<std::int64_t>(affine->scale.size());
  std::vector<std::int64_t> dims(shape->size(), 1);
  dims[0] = channels;
  THIMBLE_ASSIGN(const std::int32_t x, lowering.slot(node.inputs[0]));
  const auto outputs = static_cast<std::size_t>(channels);
  Finish finish = finish_of(lowering, node.outputs[0], outputs, std::move(affine));
  const std::int32_t w = vector_slot(lowering, node.inputs[1], node.name + "/scale",
                                     std::move(dims), finish.affine->scale);
  const std::int32_t bias =
      vector_slot(lowering, node.inputs[1], node.name + "/shift", {channels}, finish.affine->bias);
  std::vector<std::int32_t> inputs = {x, w, bias};
  THIMBLE_ASSIGN(const std::int32_t addend, lowering.slot(finish.addend));
  if (addend >= 0) inputs.push_back(addend);
  finish.attributes.push_back(ints("group", {channels}));
  return emit(lowering, program::Op::kConvPanels, node, std::move(inputs), finish.output,
              std::move(finish.attributes));
}

}  // namespace

// Groups that share a tile can't be multiplied apart.
bool multiplies_tiles(const ir::Model& model, const ir::Convolution& conv) {
  return model.weight(conv.weight).encoding.flat &&
         (conv.group == 1 || conv.outputs / conv.group % kernels::kTileRows == 0);
}

Handler convolution_handler(std::string_view op, std::string_view domain) {
  if (!domain.empty()) return nullptr;
  if (op == "BatchNormalization") return lower_batch_norm;
  if (op == "ConvTranspose") return lower_transposed;
  return op == "Conv" ? lower_convolution : nullptr;
}

}  // namespace thimble::lower

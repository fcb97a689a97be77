#include "lower/lowering.h"

#include <algorithm>

#include "ir/label.h"
#include "ir/turned.h"
#include "lower/payload.h"

namespace thimble::lower {
namespace {

std::optional<program::Type> program_type(ir::DType type) {
  switch (type) {
    case ir::DType::kUndefined:
    case ir::DType::kString:
    case ir::DType::kC64:
    case ir::DType::kC128:
      return std::nullopt;
    default:
      return static_cast<program::Type>(type);  // both number types as ONNX does
  }
}

// The type of the value or weight of that name; an error where the runtime has none.
Expected<program::Type> computed_type(ir::DType type, const std::string& name) {
  if (const auto known = program_type(type)) return *known;
  return unsupported("the runtime does not compute with " + std::string(ir::dtype_name(type)))
      .at_tensor(name);
}

// A table that Gather reads, and perhaps a product too, keeps its float type; every other float
// constant that isn't a product's weight computes in f32.
bool is_table(const ir::Graph& graph, ir::ValueId value) {
  bool gathered = false;
  for (const ir::NodeId user : graph.users(value)) {
    const ir::Node& node = graph.node(user);
    if (node.is("Gather") && node.inputs[0] == value && node.integer("axis", 0) == 0) {
      gathered = true;
    } else if (!node.is("Transpose") && !node.is("MatMul")) {
      return false;
    }
  }
  return gathered;
}

// Inputs that say a shape rather than carry data.
bool is_shape_input(const ir::Node& node, std::size_t input) {
  if (node.op == "Range") return true;
  const bool has_parameters = node.op == "Reshape" || node.op == "Expand" ||
                              node.op == "Unsqueeze" || node.op == "Squeeze" ||
                              node.op == "Slice" || node.op == "Split" ||
                              node.op.starts_with("Reduce") || node.op == "CumSum";
  return has_parameters && input > 0;
}

}  // namespace

program::Attribute ints(std::string name, std::vector<std::int64_t> values) {
  return {std::move(name), std::move(values), {}, {}};
}
program::Attribute floats(std::string name, std::vector<float> values) {
  return {std::move(name), {}, std::move(values), {}};
}

std::vector<program::Attribute> activation_attributes(const ir::Value& value) {
  std::vector<program::Attribute> out = {
      ints("activation", {static_cast<std::int64_t>(value.activation)})};
  if (value.activation != ir::ActivationScheme::kStatic) return out;
  out.push_back(floats("scale", {value.static_scale.scale}));
  out.push_back(ints("zero", {value.static_scale.zero}));
  return out;
}

Handler find_handler(std::string_view op, std::string_view domain) {
  for (const auto family :
       {linear_handler, integer_product_handler, elementwise_handler, shape_handler,
        network_handler, control_handler, convolution_handler, recurrent_handler}) {
    if (const Handler handler = family(op, domain)) return handler;
  }
  return nullptr;
}

bool Lowering::is_constant(ir::ValueId value) const {
  return !value.valid() || graph().value(value).weight.valid();
}

bool Lowering::is_planned(const ir::Node& node) const {
  if (!node.domain.empty() || node.outputs.empty()) return false;
  for (const ir::ValueId output : node.outputs) {
    if (!output.valid() || shape(output) == nullptr) return false;
  }
  if (node.op == "Reshape" || node.op == "Expand" || node.op == "Unsqueeze" ||
      node.op == "Squeeze") {
    return true;
  }
  if (node.op == "Range") {
    const auto start = constant_integers(node.inputs[0]);
    const auto step = constant_integers(node.inputs[2]);
    return start && step && *start == std::vector<std::int64_t>{0} &&
           *step == std::vector<std::int64_t>{1};
  }
  if (node.op == "Split") {
    const auto rank = static_cast<std::int64_t>(shape(node.outputs[0])->size());
    const std::int64_t axis = node.integer("axis", 0);
    const auto at = static_cast<std::size_t>(axis < 0 ? axis + rank : axis);
    return std::all_of(node.outputs.begin(), node.outputs.end(),
                       [&](ir::ValueId part) { return (*shape(part))[at].constant().has_value(); });
  }
  // Slices, reductions and sums say axes and bounds as constants.
  return std::all_of(node.inputs.begin() + 1, node.inputs.end(),
                     [&](ir::ValueId input) { return is_constant(input); });
}

bool Lowering::skips(const ir::Node& node, std::size_t input) const {
  return is_shape_input(node, input) && is_planned(node);
}

Expected<Lowered> Lowering::run() {
  out_.program.regions.emplace_back();
  scopes_.emplace_back(model_.graph, 0);
  THIMBLE_TRY(lower_graph());
  THIMBLE_TRY(finish_states());
  out_.program.task = static_cast<program::Task>(model_.task);
  out_.program.max_context = model_.max_context;
  return std::move(out_);
}

Status Lowering::lower_graph() {
  mark_needed();
  THIMBLE_TRY(lower_inputs());
  for (const ir::NodeId id : graph().order()) {
    if (!needed(id) || is_done(id)) continue;
    if (Status status = lower_node(id); !status) {
      return ir::about_node(std::move(status).error(), graph(), graph().node(id))
          .in(model_.source_path);
    }
  }
  std::vector<std::int32_t> outputs;
  for (const ir::ValueId value : graph().outputs()) {
    THIMBLE_ASSIGN(const std::int32_t index, slot(value));
    outputs.push_back(index);
  }
  program().regions[scope().region].outputs = std::move(outputs);
  return ok();
}

Expected<std::int32_t> Lowering::lower_body(ir::GraphId body) {
  const std::size_t region = program().regions.size();
  program().regions.emplace_back();
  scopes_.emplace_back(model_.graphs[body.index], region);
  THIMBLE_TRY(map_captures());
  THIMBLE_TRY(lower_graph());
  scopes_.pop_back();
  return static_cast<std::int32_t>(region);
}

// A captured value is the slot that it has outside.
Status Lowering::map_captures() {
  Scope inner = std::move(scopes_.back());
  scopes_.pop_back();
  for (const ir::ValueId capture : inner.graph.captures()) {
    const std::string& name = inner.graph.value(capture).name;
    const auto outer = graph().find_value(name);
    if (!outer) return invalid_file("a body reads '" + name + "', which isn't there");
    THIMBLE_ASSIGN(inner.slots[capture.index], slot(*outer));
  }
  scopes_.push_back(std::move(inner));
  return ok();
}

bool Lowering::is_captured(ir::ValueId value) const {
  return ir::is_captured(model_, graph(), value);
}

void Lowering::mark_needed() {
  std::vector<bool>& needed = scope().needed;
  std::vector<ir::ValueId> work = graph().outputs();
  while (!work.empty()) {
    const ir::ValueId value = work.back();
    work.pop_back();
    const ir::NodeId producer = graph().value(value).producer;
    if (!producer.valid() || needed[producer.index]) continue;
    needed[producer.index] = true;
    const ir::Node& node = graph().node(producer);
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      if (node.inputs[i].valid() && !skips(node, i)) work.push_back(node.inputs[i]);
    }
    for (const ir::GraphId body : ir::bodies(node)) {
      for (const ir::ValueId capture : model_.graphs[body.index].captures()) {
        const auto outer = graph().find_value(model_.graphs[body.index].value(capture).name);
        if (outer) work.push_back(*outer);
      }
    }
  }
}

Status Lowering::lower_inputs() {
  for (const ir::ValueId value : graph().inputs()) {
    THIMBLE_ASSIGN(program::Slot described, describe(value));
    const std::string& name = graph().value(value).name;
    const bool state = std::any_of(model_.states.begin(), model_.states.end(),
                                   [&](const ir::State& s) { return s.input == name; });
    if (is_entry())
      described.kind = state ? program::Slot::Kind::kState : program::Slot::Kind::kInput;
    const std::int32_t index = add_slot(std::move(described));
    scope().slots[value.index] = index;
    program().regions[scope().region].inputs.push_back(index);
  }
  return ok();
}

Status Lowering::lower_node(ir::NodeId id) {
  return on_codes(id) ? lower_on_codes(id) : lower_with_rounded(id);
}

Status Lowering::finish_states() {
  for (const ir::State& state : model_.states) {
    const auto input = graph().find_value(state.input);
    const auto output = graph().find_value(state.output);
    THIMBLE_CHECK(input && output, "states name values of the graph");
    THIMBLE_ASSIGN(const std::int32_t in, slot(*input));
    THIMBLE_ASSIGN(const std::int32_t out, slot(*output));
    const bool known = std::any_of(program().states.begin(), program().states.end(),
                                   [&](const program::State& s) { return s.input == in; });
    if (!known) program().states.push_back({program::State::Kind::kCopy, in, out});
  }
  return ok();
}

Expected<program::Size> Lowering::size(const ir::Dim& dim) {
  using Step = program::SizeStep;
  program::Size steps;
  auto symbol_index = [&](const std::string& name) {
    auto& symbols = program().symbols;
    const auto at = std::find(symbols.begin(), symbols.end(), name);
    if (at != symbols.end()) return static_cast<std::int64_t>(at - symbols.begin());
    symbols.push_back(name);
    return static_cast<std::int64_t>(symbols.size()) - 1;
  };
  bool first = true;
  for (const ir::Dim::Term& term : dim.terms()) {
    steps.push_back({Step::Op::kConstant, term.coefficient});
    for (const ir::Dim::Atom& atom : term.factors) {
      if (atom.kind == ir::Dim::Atom::Kind::kSymbol) {
        steps.push_back({Step::Op::kSymbol, symbol_index(atom.name)});
      } else {
        for (const ir::Dim& argument : atom.arguments) {
          THIMBLE_ASSIGN(const program::Size inner, size(argument));
          steps.insert(steps.end(), inner.begin(), inner.end());
        }
        steps.push_back(
            {atom.kind == ir::Dim::Atom::Kind::kMax ? Step::Op::kMax : Step::Op::kFloorDivide, 0});
      }
      steps.push_back({Step::Op::kMultiply, 0});
    }
    if (!first) steps.push_back({Step::Op::kAdd, 0});
    first = false;
  }
  if (steps.empty()) steps.push_back({Step::Op::kConstant, 0});
  return steps;
}

Expected<program::Slot> Lowering::describe(ir::ValueId id) {
  const ir::Value& value = graph().value(id);
  program::Slot slot;
  slot.name = value.name;
  THIMBLE_ASSIGN(slot.type, computed_type(value.dtype, value.name));
  slot.dynamic = !value.shape || !is_entry();
  if (slot.dynamic) return slot;
  for (const ir::Dim& dim : *value.shape) {
    THIMBLE_ASSIGN(program::Size steps, size(dim));
    slot.dims.push_back(std::move(steps));
  }
  return slot;
}

std::int32_t Lowering::add_slot(program::Slot slot) {
  program().slots.push_back(std::move(slot));
  return static_cast<std::int32_t>(program().slots.size()) - 1;
}

Expected<std::int32_t> Lowering::slot(ir::ValueId value) {
  if (!value.valid()) return -1;
  auto& slots = scope().slots;
  if (const auto known = slots.find(value.index); known != slots.end()) return known->second;
  if (graph().value(value).weight.valid()) {
    THIMBLE_ASSIGN(const std::int32_t index, add_constant(value));
    return slots[value.index] = index;
  }
  THIMBLE_ASSIGN(program::Slot described, describe(value));
  return slots[value.index] = add_slot(std::move(described));
}

std::int32_t Lowering::add_tensor(program::Tensor tensor, std::unique_ptr<Payload> payload) {
  const std::vector<std::uint64_t> bytes = payload->piece_bytes();
  for (const std::uint64_t piece : bytes) {
    tensor.segments.push_back(static_cast<std::int32_t>(program().segments.size()));
    program().segments.push_back(
        {.offset = 0, .size = piece * static_cast<std::uint64_t>(payload->pieces()), .digest = {}});
  }
  out_.weight_names.push_back(tensor.name);
  out_.payloads.push_back(std::move(payload));
  program().tensors.push_back(std::move(tensor));
  return static_cast<std::int32_t>(program().tensors.size()) - 1;
}

std::int32_t Lowering::add_constant_slot(ir::ValueId value, program::Tensor tensor,
                                         std::unique_ptr<Payload> payload) {
  program::Slot described;
  described.tensor = add_tensor(std::move(tensor), std::move(payload));
  const program::Tensor& t = program().tensors.back();
  described.name = graph().value(value).name;
  described.kind = program::Slot::Kind::kConstant;
  // Tiles decode to f32; elements are what they are.
  described.type = t.layout == program::Layout::kTiles ? program::Type::kF32 : t.type;
  for (const std::int64_t dim : t.dims)
    described.dims.push_back({{program::SizeStep::Op::kConstant, dim}});
  return add_slot(std::move(described));
}

// A tied table is one tensor: when a product of the same weight comes along, it finds the Gather's.
Expected<std::int32_t> Lowering::add_constant(ir::ValueId value) {
  const ir::WeightId id = graph().value(value).weight;
  const ir::Weight& weight = model_.weight(id);
  const bool table = weight.dims.size() == 2 && is_table(graph(), value);
  if (const auto known = linear_slots_.find({id, false}); known != linear_slots_.end())
    return known->second;
  if (const auto known = constant_slots_.find(id); known != constant_slots_.end())
    return known->second;
  if (!weight.encoding.is_dense()) {
    THIMBLE_ASSIGN(program::Tensor tiles, tile_tensor(weight));
    auto payload = tile_payload(weight, tiles);
    const std::int32_t index = add_constant_slot(value, std::move(tiles), std::move(payload));
    return linear_slots_[{id, false}] = index;
  }
  THIMBLE_ASSIGN(const program::Type type, computed_type(weight.dtype, weight.name));
  program::Tensor tensor{.name = weight.name, .type = type, .dims = weight.dims};
  const bool as_f32 =
      graph().value(value).dtype == ir::DType::kF32 && weight.dtype != ir::DType::kF32 && !table;
  if (as_f32) tensor.type = program::Type::kF32;
  auto payload = as_f32 ? f32_payload(weight) : dense_payload(weight);
  const std::int32_t index = add_constant_slot(value, std::move(tensor), std::move(payload));
  return (table ? linear_slots_[{id, false}] : constant_slots_[id]) = index;
}

std::int32_t Lowering::decoded_slot(ir::ValueId value) {
  const ir::WeightId id = graph().value(value).weight;
  if (const auto known = decoded_slots_.find(id); known != decoded_slots_.end())
    return known->second;
  const ir::Weight& weight = model_.weight(id);
  program::Tensor tensor{.name = weight.name, .type = program::Type::kF32, .dims = weight.dims};
  return decoded_slots_[id] = add_constant_slot(value, std::move(tensor), f32_payload(weight));
}

Expected<std::int32_t> Lowering::weight_slot(const ir::Linear& linear) {
  const ir::Weight& weight = model_.weight(linear.weight);
  const bool transposed = weight.encoding.is_dense() && linear.axis == 0;
  const std::pair key(linear.weight, transposed);
  if (const auto known = linear_slots_.find(key); known != linear_slots_.end())
    return known->second;
  program::Tensor tensor;
  std::unique_ptr<Payload> payload;
  if (!weight.encoding.is_dense()) {
    THIMBLE_ASSIGN(tensor, tile_tensor(weight));
    payload = tile_payload(weight, tensor);
  } else {
    const bool wide = weight.dtype == ir::DType::kF64;  // no kernel multiplies f64 weights
    const auto type = program_type(weight.dtype);
    if (!type || !ir::dtype_is_float(weight.dtype) || (wide && transposed)) {
      return unsupported("no product with weights of type " +
                         std::string(ir::dtype_name(weight.dtype)))
          .at_tensor(weight.name);
    }
    tensor = {.name = weight.name,
              .type = wide ? program::Type::kF32 : *type,
              .dims = {linear.rows, linear.inputs}};
    payload = transposed ? dense_payload(ir::turned(weight))
              : wide     ? f32_payload(weight)
                         : dense_payload(weight);
  }
  return linear_slots_[key] =
             add_constant_slot(linear.weight_value, std::move(tensor), std::move(payload));
}

program::Instruction& Lowering::emit(program::Op op, const ir::Node& node,
                                     std::vector<std::int32_t> inputs,
                                     std::vector<std::int32_t> outputs) {
  auto& instructions = program().regions[scope().region].instructions;
  instructions.push_back({.op = op,
                          .name = ir::node_label(graph(), node),
                          .inputs = std::move(inputs),
                          .outputs = std::move(outputs),
                          .attributes = {},
                          .regions = {}});
  return instructions.back();
}

Status Lowering::emit_plain(program::Op op, const ir::Node& node,
                            std::vector<program::Attribute> attributes) {
  std::vector<std::int32_t> inputs, outputs;
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    if (op < program::Op::kClip && skips(node, i)) break;
    THIMBLE_ASSIGN(const std::int32_t index, slot(node.inputs[i]));
    inputs.push_back(index);
  }
  for (const ir::ValueId value : node.outputs) {
    THIMBLE_ASSIGN(const std::int32_t index, slot(value));
    outputs.push_back(index);
  }
  emit(op, node, std::move(inputs), std::move(outputs)).attributes = std::move(attributes);
  return ok();
}

const ir::Shape* Lowering::shape(ir::ValueId value) const {
  const ir::Value& known = graph().value(value);
  return known.shape && (is_entry() || known.weight.valid()) ? &*known.shape : nullptr;
}

std::optional<std::vector<std::int64_t>> Lowering::constant_integers(ir::ValueId value) const {
  if (!value.valid() || !graph().value(value).weight.valid()) return std::nullopt;
  auto values = ir::read_integers(model_.weight(graph().value(value).weight));
  if (!values) return std::nullopt;
  return std::move(*values);
}

std::optional<float> Lowering::constant_scalar(ir::ValueId value) const {
  if (!value.valid() || !graph().value(value).weight.valid()) return std::nullopt;
  const ir::Weight& weight = model_.weight(graph().value(value).weight);
  if (weight.element_count() != 1 || !ir::dtype_is_float(weight.dtype)) return std::nullopt;
  const auto values = ir::read_floats(weight);
  if (!values) return std::nullopt;
  return values->front();
}

std::optional<ir::ValueId> Lowering::constant_addend(const ir::Node& sum, ir::ValueId value,
                                                     std::int64_t count) const {
  if (!sum.is("Add")) return std::nullopt;
  const ir::ValueId other = sum.inputs[sum.inputs[0] == value ? 1 : 0];
  if (!graph().value(other).weight.valid()) return std::nullopt;
  const ir::Shape* dims = shape(other);
  if (dims == nullptr || dims->size() != 1 || !((*dims)[0] == ir::Dim(count))) return std::nullopt;
  return other;
}

std::optional<ir::NodeId> Lowering::only_user(ir::ValueId value) const {
  if (graph().is_output(value) || is_captured(value)) return std::nullopt;
  std::optional<ir::NodeId> only;
  for (const ir::NodeId user : graph().users(value)) {
    if (!needed(user)) continue;
    if (only) return std::nullopt;
    only = user;
  }
  if (only && reads_rounded(*only, value)) return std::nullopt;
  return only;
}

Expected<Lowered> lower(const ir::Model& model) { return Lowering(model).run(); }

}  // namespace thimble::lower

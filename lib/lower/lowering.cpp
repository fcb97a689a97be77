#include "lower/lowering.h"

#include <algorithm>

#include "ir/label.h"

namespace thimble::lower {
namespace {

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
  // What works on codes rounds what it reads.
  if (only && (on_codes(*only) || reads_rounded(*only, value))) return std::nullopt;
  return only;
}

Expected<Lowered> lower(const ir::Model& model) { return Lowering(model).run(); }

}  // namespace thimble::lower

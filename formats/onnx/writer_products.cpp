#include "formats/onnx/writer_products.h"

#include "formats/onnx/rewriter.h"

namespace thimble::formats::onnx {
namespace {

std::string name_of(const ir::Graph& graph, ir::ValueId value) { return graph.value(value).name; }

// Two planes of int8 are next to floats, and there is no level for them.
std::int64_t level_of(ir::ActivationScheme scheme) {
  const bool floats =
      scheme == ir::ActivationScheme::kFloat || scheme == ir::ActivationScheme::kInt16;
  return floats ? 1 : 4;
}

// The [rows] that a Gemm adds; invalid where it adds none, or anything else.
ir::ValueId bias_of(const ir::Graph& graph, ir::NodeId id) {
  const ir::Node& node = graph.node(id);
  if (!node.is("Gemm") || node.inputs.size() < 3 || !node.inputs[2].valid()) return {};
  const auto& shape = graph.value(node.inputs[2]).shape;
  const bool vector = shape && shape->size() == 1 && (*shape)[0].constant().value_or(1) != 1;
  return vector ? node.inputs[2] : ir::ValueId{};
}

bool has_block_sums(const ir::Graph& graph, const ir::Linear& linear, const ir::Weight& weight) {
  const std::int64_t groups = weight.encoding.groups(linear.inputs);
  return graph.value(linear.input).shape &&
         (groups == 1 || linear.inputs % weight.encoding.group_size == 0);
}

}  // namespace

void ProductWriter::start_graph() {
  dynamic_.clear();
  sums_.clear();
}

Status ProductWriter::write(ir::Graph& graph, ir::NodeId id, const ir::Linear& linear) {
  const ir::Weight weight = model_.weight(linear.weight);
  const ir::Encoding& e = weight.encoding;
  if (linear.inputs < 1 || linear.rows < 1) return ok();
  const ir::ActivationScheme scheme = graph.value(linear.input).activation;
  const CodeForm form = code_form(e);
  const bool alone = !constants_.uses(linear.weight).gathered;
  const bool bytes =
      e.groups(linear.inputs) == 1 && form.bits == 8 && e.zero != ir::ZeroKind::kMinima;
  if (alone && bytes && scheme == ir::ActivationScheme::kStatic)
    return fixed_product(graph, id, linear, form);
  const bool dynamic =
      scheme == ir::ActivationScheme::kInt8 || scheme == ir::ActivationScheme::kInt8Token;
  const std::int64_t level = accuracy_level_.value_or(level_of(scheme));
  if (alone && bytes && dynamic && level == 4) {
    dynamic_product(graph, id, linear, form);
    return ok();
  }
  const std::int64_t block =
      alone ? block_of(weight, form.bits) : whole_block_of(weight, form.bits);
  const bool minima = e.zero == ir::ZeroKind::kMinima;
  if (block == 0 || (minima && !has_block_sums(graph, linear, weight))) return ok();
  const ir::ValueId x = fixed_.rounded(graph, linear.input);
  const WeightConstants::Parts parts = constants_.blocks(linear.weight, form, block);
  const ir::ValueId bias = minima ? ir::ValueId{} : bias_of(graph, id);
  ir::ValueId y = emit_.node("MatMulNBits", {x, parts.codes, parts.scales, parts.zeros, {}, bias},
                             {{"K", linear.inputs},
                              {"N", linear.rows},
                              {"accuracy_level", level},
                              {"bits", std::int64_t{form.bits}},
                              {"block_size", block}},
                             name_of(graph, linear.output), kContrib);
  if (minima)
    y = emit_.node("Add", {y, minima_product(graph, x, linear.weight, form)}, {},
                   name_of(graph, linear.output));
  if (!bias.valid()) y = add_bias(graph, id, y);
  replace(graph, id, y);
  return ok();
}

Status ProductWriter::fixed_product(ir::Graph& graph, ir::NodeId id, const ir::Linear& linear,
                                    const CodeForm& form) {
  const WeightConstants::Parts parts = constants_.columns(linear.weight, form);
  const std::string name = name_of(graph, linear.output);
  const ir::ValueId x = fixed_.rounded(graph, linear.input);
  const ir::ValueId w =
      emit_.node("DequantizeLinear", {parts.codes, parts.scales, parts.zeros},
                 {{"axis", std::int64_t{1}}}, model_.weight(linear.weight).name + "_dequantized");
  const ir::ValueId gemm_bias = bias_of(graph, id);
  if (!gemm_bias.valid()) {
    THIMBLE_TRY(fix_sum(graph, linear));
    replace(graph, id, add_bias(graph, id, emit_.node("MatMul", {x, w}, {}, name)));
    return ok();
  }
  THIMBLE_ASSIGN(const ir::ValueId bias,
                 fixed_.bias(graph, linear.input, linear.weight, gemm_bias));
  replace(graph, id, emit_.node("Gemm", {x, w, bias}, {}, name));
  return ok();
}

// The Add of a constant to a product of matrices: ONNX Runtime makes a Gemm of the two, which is
// one of integers only if the bias is.
Status ProductWriter::fix_sum(ir::Graph& graph, const ir::Linear& linear) {
  const auto& shape = graph.value(linear.input).shape;
  const std::vector<ir::NodeId> users = graph.users(linear.output);
  if (!shape || shape->size() != 2 || users.size() != 1 || !graph.node(users[0]).is("Add"))
    return ok();
  Rewriter sum(model_, graph, users[0], kGraphOpset);
  const std::size_t other = sum.input(0) == linear.output ? 1 : 0;
  THIMBLE_ASSIGN(const ir::ValueId bias,
                 fixed_.bias(graph, linear.input, linear.weight, sum.input(other)));
  sum.set_input(other, bias);
  return ok();
}

// As ONNX Runtime's DynamicQuantizeMatMul is spelt.
void ProductWriter::dynamic_product(ir::Graph& graph, ir::NodeId id, const ir::Linear& linear,
                                    const CodeForm& form) {
  const WeightConstants::Parts parts = constants_.columns(linear.weight, form);
  const std::string x = name_of(graph, linear.input), y = name_of(graph, linear.output);
  auto [known, is_new] = dynamic_.try_emplace(linear.input);
  if (is_new)
    known->second = emit_.nodes("DynamicQuantizeLinear", {linear.input}, {},
                                {x + "_quantized", x + "_scale", x + "_zero_point"});
  const std::vector<ir::ValueId> q = known->second;
  std::vector<ir::ValueId> inputs = {q[0], parts.codes, q[2]};
  if (form.points) inputs.push_back(parts.zeros);
  const ir::ValueId sum = emit_.node("MatMulInteger", std::move(inputs), {}, y + "_integers");
  graph.value(sum).dtype = ir::DType::kI32;
  const ir::ValueId real =
      emit_.node("Cast", {sum}, {{"to", std::int64_t{1}}}, y + "_integers_f32");
  const ir::ValueId scale = emit_.node("Mul", {q[1], parts.scales}, {}, y + "_scale");
  replace(graph, id, add_bias(graph, id, emit_.node("Mul", {real, scale}, {}, y)));
}

// The sum of x over each group, times the group's minima.
ir::ValueId ProductWriter::minima_product(ir::Graph& graph, ir::ValueId x, ir::WeightId id,
                                          const CodeForm& form) {
  const ir::Weight weight = model_.weight(id);
  const std::int64_t groups = weight.encoding.groups(weight.inputs());
  const std::string name = name_of(graph, x);
  const auto [known, is_new] = sums_.try_emplace({x, groups});
  if (is_new) {
    ir::ValueId split = x;
    if (groups > 1) {
      std::vector<std::int64_t> dims(graph.value(x).shape ? graph.value(x).shape->size() - 1 : 1,
                                     0);
      dims.push_back(groups);
      dims.push_back(weight.encoding.group_size);
      split = emit_.node("Reshape", {x, emit_.integers(dims)}, {}, name + "_groups");
    }
    known->second = emit_.node("ReduceSum", {split, emit_.integers({-1})},
                               {{"keepdims", std::int64_t{groups == 1}}}, name + "_sums");
  }
  return emit_.node("MatMul", {known->second, constants_.minima(id, form)}, {}, name + "_minima");
}

// y with the bias that a Gemm has, of whatever shape.
ir::ValueId ProductWriter::add_bias(const ir::Graph& graph, ir::NodeId id, ir::ValueId y) {
  const ir::Node& node = graph.node(id);
  if (!node.is("Gemm") || node.inputs.size() < 3 || !node.inputs[2].valid()) return y;
  const std::string name = name_of(graph, node.outputs[0]);
  return emit_.node("Add", {y, node.inputs[2]}, {}, name);
}

void ProductWriter::replace(ir::Graph& graph, ir::NodeId id, ir::ValueId y) {
  Rewriter(model_, graph, id, kGraphOpset).replace({y});
}

}  // namespace thimble::formats::onnx

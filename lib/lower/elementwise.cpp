// Functions of one or two values, element by element.

#include <array>
#include <utility>

#include "lower/lowering.h"

namespace thimble::lower {
namespace {

using program::BinaryFunction;
using program::UnaryFunction;

constexpr std::array<std::pair<std::string_view, UnaryFunction>, 18> kUnary = {{
    {"Tanh", UnaryFunction::kTanh},
    {"Sigmoid", UnaryFunction::kSigmoid},
    {"Relu", UnaryFunction::kRelu},
    {"Exp", UnaryFunction::kExp},
    {"Erf", UnaryFunction::kErf},
    {"Sqrt", UnaryFunction::kSqrt},
    {"Reciprocal", UnaryFunction::kReciprocal},
    {"Neg", UnaryFunction::kNeg},
    {"Abs", UnaryFunction::kAbs},
    {"Log", UnaryFunction::kLog},
    {"Sin", UnaryFunction::kSin},
    {"Cos", UnaryFunction::kCos},
    {"Floor", UnaryFunction::kFloor},
    {"Ceil", UnaryFunction::kCeil},
    {"Round", UnaryFunction::kRound},
    {"Softplus", UnaryFunction::kSoftplus},
    {"HardSwish", UnaryFunction::kHardSwish},
    {"Not", UnaryFunction::kNot},
}};

constexpr std::array<std::pair<std::string_view, BinaryFunction>, 15> kBinary = {{
    {"Add", BinaryFunction::kAdd},
    {"Sub", BinaryFunction::kSub},
    {"Mul", BinaryFunction::kMul},
    {"Div", BinaryFunction::kDiv},
    {"Min", BinaryFunction::kMin},
    {"Max", BinaryFunction::kMax},
    {"Pow", BinaryFunction::kPow},
    {"Equal", BinaryFunction::kEqual},
    {"Less", BinaryFunction::kLess},
    {"LessOrEqual", BinaryFunction::kLessOrEqual},
    {"Greater", BinaryFunction::kGreater},
    {"GreaterOrEqual", BinaryFunction::kGreaterOrEqual},
    {"And", BinaryFunction::kAnd},
    {"Or", BinaryFunction::kOr},
    {"Mod", BinaryFunction::kMod},
}};

std::optional<UnaryFunction> unary_function(const ir::Node& node) {
  if (node.op == "Swish") {
    const float alpha = node.real("alpha", 1.0f);
    if (alpha == 1.0f) return UnaryFunction::kSilu;
    if (alpha == 1.702f) return UnaryFunction::kGeluQuick;
    return std::nullopt;
  }
  if (node.op == "Gelu") {
    return node.text("approximate", "none") == "tanh" ? UnaryFunction::kGeluTanh
                                                      : UnaryFunction::kGeluErf;
  }
  for (const auto& [name, function] : kUnary) {
    if (node.op == name) return function;
  }
  return std::nullopt;
}

bool same_shape(const Lowering& lowering, ir::ValueId a, ir::ValueId b) {
  const ir::Shape* left = lowering.shape(a);
  const ir::Shape* right = lowering.shape(b);
  return left != nullptr && right != nullptr && *left == *right;
}

// f(gate) * up in one piece, when nothing else reads f(gate).
Expected<bool> lower_gated(Lowering& lowering, const ir::Node& node, UnaryFunction function) {
  const auto user = lowering.only_user(node.outputs[0]);
  if (!user) return false;
  const ir::Node& product = lowering.graph().node(*user);
  if (!product.is("Mul")) return false;
  const ir::ValueId up =
      product.inputs[0] == node.outputs[0] ? product.inputs[1] : product.inputs[0];
  // The other factor must exist already: a later node's result isn't computed yet.
  const bool ready = lowering.graph().value(up).producer.valid() &&
                     !lowering.graph().value(up).weight.valid() &&
                     same_shape(lowering, up, node.inputs[0]) && !(up == node.outputs[0]);
  if (!ready || !lowering.has_slot(up)) return false;
  THIMBLE_ASSIGN(const std::int32_t gate_slot, lowering.slot(node.inputs[0]));
  THIMBLE_ASSIGN(const std::int32_t up_slot, lowering.slot(up));
  THIMBLE_ASSIGN(const std::int32_t out, lowering.slot(product.outputs[0]));
  lowering.mark_done(*user);
  lowering.emit(program::Op::kGatedUnary, product, {gate_slot, up_slot}, {out}).attributes = {
      ints("function", {static_cast<std::int64_t>(function)})};
  return true;
}

Status lower_unary(Lowering& lowering, ir::NodeId, const ir::Node& node) {
  const auto function = unary_function(node);
  if (!function)
    return unsupported("Swish is supported with alpha 1 or 1.702").at_tensor(node.name);
  THIMBLE_ASSIGN(const bool gated, lower_gated(lowering, node, *function));
  if (gated) return ok();
  return lowering.emit_plain(program::Op::kUnary, node,
                             {ints("function", {static_cast<std::int64_t>(*function)})});
}

Status lower_binary(Lowering& lowering, ir::NodeId, const ir::Node& node) {
  if (node.inputs.size() != 2)
    return unsupported(node.op + " is supported with two inputs").at_tensor(node.name);
  if (node.op == "Mul") {
    for (int side = 0; side < 2; ++side) {
      const auto factor = lowering.constant_scalar(node.inputs[side]);
      if (!factor || !same_shape(lowering, node.inputs[1 - side], node.outputs[0])) continue;
      THIMBLE_ASSIGN(const std::int32_t x, lowering.slot(node.inputs[1 - side]));
      THIMBLE_ASSIGN(const std::int32_t y, lowering.slot(node.outputs[0]));
      lowering.emit(program::Op::kScale, node, {x}, {y}).attributes = {floats("factor", {*factor})};
      return ok();
    }
  }
  for (const auto& [name, function] : kBinary) {
    if (node.op != name) continue;
    return lowering.emit_plain(program::Op::kBinary, node,
                               {ints("function", {static_cast<std::int64_t>(function)})});
  }
  return unsupported("no operator " + node.op);
}

Status lower_where(Lowering& lowering, ir::NodeId, const ir::Node& node) {
  return lowering.emit_plain(program::Op::kWhere, node);
}

Status lower_cast(Lowering& lowering, ir::NodeId, const ir::Node& node) {
  return lowering.emit_plain(program::Op::kCast, node);
}

Status lower_identity(Lowering& lowering, ir::NodeId, const ir::Node& node) {
  THIMBLE_ASSIGN(const std::int32_t index, lowering.slot(node.inputs[0]));
  lowering.alias(node.outputs[0], index);
  return ok();
}

}  // namespace

Handler elementwise_handler(std::string_view op, std::string_view domain) {
  if (!domain.empty()) return nullptr;
  if (op == "Swish" || op == "Gelu") return lower_unary;
  for (const auto& [name, function] : kUnary) {
    if (op == name) return lower_unary;
  }
  for (const auto& [name, function] : kBinary) {
    if (op == name) return lower_binary;
  }
  if (op == "Where") return lower_where;
  if (op == "Cast") return lower_cast;
  if (op == "Identity") return lower_identity;
  return nullptr;
}

}  // namespace thimble::lower

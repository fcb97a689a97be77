// Functions of one or two values, element by element.

#include <algorithm>
#include <iterator>
#include <utility>

#include "lower/lowering.h"

namespace thimble::lower {
namespace {

using program::BinaryFunction;
using program::UnaryFunction;

// An attribute's name and default.
struct Parameter {
  std::string_view name = {};
  float fallback = 0;
};

struct UnaryRow {
  std::string_view op;
  UnaryFunction function;
  Parameter alpha = {}, beta = {};
};

constexpr UnaryRow kUnary[] = {
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
    {"Tan", UnaryFunction::kTan},
    {"Asin", UnaryFunction::kAsin},
    {"Acos", UnaryFunction::kAcos},
    {"Atan", UnaryFunction::kAtan},
    {"Sinh", UnaryFunction::kSinh},
    {"Cosh", UnaryFunction::kCosh},
    {"Asinh", UnaryFunction::kAsinh},
    {"Acosh", UnaryFunction::kAcosh},
    {"Atanh", UnaryFunction::kAtanh},
    {"Sign", UnaryFunction::kSign},
    {"Softsign", UnaryFunction::kSoftsign},
    {"Mish", UnaryFunction::kMish},
    {"BitwiseNot", UnaryFunction::kBitwiseNot},
    {"IsNaN", UnaryFunction::kIsNan},
    {"Elu", UnaryFunction::kElu, {"alpha", 1.0f}},
    {"Selu", UnaryFunction::kSelu, {"alpha", 1.67326319f}, {"gamma", 1.05070102f}},
    {"Celu", UnaryFunction::kCelu, {"alpha", 1.0f}},
    {"HardSigmoid", UnaryFunction::kHardSigmoid, {"alpha", 0.2f}, {"beta", 0.5f}},
    {"LeakyRelu", UnaryFunction::kLeakyRelu, {"alpha", 0.01f}},
    {"ThresholdedRelu", UnaryFunction::kThresholdedRelu, {"alpha", 1.0f}},
    {"Shrink", UnaryFunction::kShrink, {"lambd", 0.5f}, {"bias", 0.0f}},
    {"Swish", UnaryFunction::kSwish, {"alpha", 1.0f}},
};

constexpr std::pair<std::string_view, BinaryFunction> kBinary[] = {
    {"Add", BinaryFunction::kAdd},
    {"Sub", BinaryFunction::kSub},
    {"Mul", BinaryFunction::kMul},
    {"Div", BinaryFunction::kDiv},
    {"Min", BinaryFunction::kMin},
    {"Max", BinaryFunction::kMax},
    {"Sum", BinaryFunction::kAdd},
    {"Pow", BinaryFunction::kPow},
    {"Equal", BinaryFunction::kEqual},
    {"Less", BinaryFunction::kLess},
    {"LessOrEqual", BinaryFunction::kLessOrEqual},
    {"Greater", BinaryFunction::kGreater},
    {"GreaterOrEqual", BinaryFunction::kGreaterOrEqual},
    {"And", BinaryFunction::kAnd},
    {"Or", BinaryFunction::kOr},
    {"Xor", BinaryFunction::kXor},
    {"Mod", BinaryFunction::kMod},
    {"BitwiseAnd", BinaryFunction::kBitwiseAnd},
    {"BitwiseOr", BinaryFunction::kBitwiseOr},
    {"BitwiseXor", BinaryFunction::kBitwiseXor},
    {"BitShift", BinaryFunction::kShiftRight},
    {"PRelu", BinaryFunction::kPrelu},
};

const UnaryRow* find_unary(std::string_view op) {
  const auto* at = std::find_if(std::begin(kUnary), std::end(kUnary),
                                [&](const UnaryRow& row) { return row.op == op; });
  return at == std::end(kUnary) ? nullptr : at;
}

std::vector<program::Attribute> unary_attributes(const ir::Node& node) {
  const UnaryFunction function = *unary_function(node);
  std::vector<program::Attribute> out = {ints("function", {static_cast<std::int64_t>(function)})};
  const UnaryRow* row = find_unary(node.op);
  if (row == nullptr || row->function != function) return out;  // a function without parameters
  if (!row->alpha.name.empty())
    out.push_back(floats("alpha", {node.real(row->alpha.name, row->alpha.fallback)}));
  if (!row->beta.name.empty())
    out.push_back(floats("beta", {node.real(row->beta.name, row->beta.fallback)}));
  return out;
}

// Those that the kernels compute together with a product.
bool has_gated_form(UnaryFunction function) {
  return function <= UnaryFunction::kAbs || function == UnaryFunction::kRound ||
         function == UnaryFunction::kHardSwish;
}

BinaryFunction binary_function(const ir::Node& node) {
  if (node.op == "Mod" && node.integer("fmod", 0) != 0) return BinaryFunction::kFmod;
  if (node.op == "BitShift" && node.text("direction", "") == "LEFT")
    return BinaryFunction::kShiftLeft;
  const auto* at = std::find_if(std::begin(kBinary), std::end(kBinary),
                                [&](const auto& row) { return row.first == node.op; });
  return at->second;
}

bool same_shape(const Lowering& lowering, ir::ValueId a, ir::ValueId b) {
  const ir::Shape* left = lowering.shape(a);
  const ir::Shape* right = lowering.shape(b);
  return left != nullptr && right != nullptr && *left == *right;
}

// f(gate) * up in one piece, when nothing else reads f(gate).
Expected<bool> lower_gated(Lowering& lowering, const ir::Node& node, UnaryFunction function) {
  if (!has_gated_form(function) || !lowering.is_f32(node.inputs[0])) return false;
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
  if (!ready || !lowering.has_slot(up) || lowering.reads_rounded(*user, up)) return false;
  THIMBLE_ASSIGN(const std::int32_t gate_slot, lowering.slot(node.inputs[0]));
  THIMBLE_ASSIGN(const std::int32_t up_slot, lowering.slot(up));
  THIMBLE_ASSIGN(const std::int32_t out, lowering.slot(product.outputs[0]));
  lowering.mark_done(*user);
  lowering.emit(program::Op::kGatedUnary, product, {gate_slot, up_slot}, {out}).attributes = {
      ints("function", {static_cast<std::int64_t>(function)})};
  return true;
}

Status lower_unary(Lowering& lowering, ir::NodeId, const ir::Node& node) {
  std::vector<program::Attribute> attributes = unary_attributes(node);
  const auto function = static_cast<UnaryFunction>(attributes[0].ints[0]);
  THIMBLE_ASSIGN(const bool gated, lower_gated(lowering, node, function));
  if (gated) return ok();
  return lowering.emit_plain(program::Op::kUnary, node, std::move(attributes));
}

// x * constant, where the constant is one number.
Expected<bool> lower_scale(Lowering& lowering, const ir::Node& node) {
  if (node.op != "Mul" || !lowering.is_f32(node.outputs[0])) return false;
  for (int side = 0; side < 2; ++side) {
    const auto factor = lowering.constant_scalar(node.inputs[side]);
    if (!factor || !same_shape(lowering, node.inputs[1 - side], node.outputs[0])) continue;
    const ir::Shape* shape = lowering.shape(node.outputs[0]);
    if (shape->empty()) continue;
    THIMBLE_ASSIGN(const std::int32_t x, lowering.slot(node.inputs[1 - side]));
    THIMBLE_ASSIGN(const std::int32_t y, lowering.slot(node.outputs[0]));
    lowering.emit(program::Op::kScale, node, {x}, {y}).attributes = {floats("factor", {*factor})};
    return true;
  }
  return false;
}

// Of two values. Min, Max, Sum and Mean of any number are instructions of their own.
Status lower_binary(Lowering& lowering, ir::NodeId id, const ir::Node& node) {
  if (node.inputs.size() != 2) return lower_direct(lowering, id, node);
  THIMBLE_ASSIGN(const bool scaled, lower_scale(lowering, node));
  if (scaled) return ok();
  const bool sum = binary_function(node) == BinaryFunction::kAdd &&
                   lowering.is_f32(node.outputs[0]) &&
                   same_shape(lowering, node.inputs[0], node.inputs[1]);
  if (sum) {
    THIMBLE_ASSIGN(const bool normalized, lower_sum_and_norm(lowering, node));
    if (normalized) return ok();
  }
  return lowering.emit_plain(
      program::Op::kBinary, node,
      {ints("function", {static_cast<std::int64_t>(binary_function(node))})});
}

Status lower_where(Lowering& lowering, ir::NodeId, const ir::Node& node) {
  return lowering.emit_plain(program::Op::kWhere, node);
}

// Cast, and CastLike, whose second input only says the type.
Status lower_cast(Lowering& lowering, ir::NodeId, const ir::Node& node) {
  THIMBLE_ASSIGN(const std::int32_t x, lowering.slot(node.inputs[0]));
  THIMBLE_ASSIGN(const std::int32_t y, lowering.slot(node.outputs[0]));
  program::Instruction& cast = lowering.emit(program::Op::kCast, node, {x}, {y});
  if (node.integer("saturate", 1) == 0) cast.attributes.push_back(ints("saturate", {0}));
  const std::string rounding(node.text("round_mode", "up"));
  if (rounding != "up") cast.attributes.push_back({"round_mode", {}, {}, rounding});
  return ok();
}

// Another name of the same slot; a result of the graph keeps a slot of its own, for its name.
Status lower_identity(Lowering& lowering, ir::NodeId, const ir::Node& node) {
  if (lowering.graph().is_output(node.outputs[0]))
    return lowering.emit_plain(program::Op::kIdentity, node);
  THIMBLE_ASSIGN(const std::int32_t index, lowering.slot(node.inputs[0]));
  lowering.alias(node.outputs[0], index);
  return ok();
}

}  // namespace

std::optional<UnaryFunction> unary_function(const ir::Node& node) {
  if (node.op == "Gelu") {
    return node.text("approximate", "none") == "tanh" ? UnaryFunction::kGeluTanh
                                                      : UnaryFunction::kGeluErf;
  }
  const UnaryRow* row = find_unary(node.op);
  if (row == nullptr) return std::nullopt;
  if (row->function == UnaryFunction::kSwish) {  // two of them have kernels
    const float alpha = node.real("alpha", 1.0f);
    if (alpha == 1.0f) return UnaryFunction::kSilu;
    if (alpha == 1.702f) return UnaryFunction::kGeluQuick;
  }
  return row->function;
}

Handler elementwise_handler(std::string_view op, std::string_view domain) {
  if (!domain.empty()) return nullptr;
  if (op == "Gelu" || find_unary(op) != nullptr) return lower_unary;
  for (const auto& [name, function] : kBinary) {
    if (op == name) return lower_binary;
  }
  if (op == "Where") return lower_where;
  if (op == "Cast" || op == "CastLike") return lower_cast;
  if (op == "Identity") return lower_identity;
  return nullptr;
}

}  // namespace thimble::lower

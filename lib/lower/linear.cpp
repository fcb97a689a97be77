// Products. Those with a weight become kLinear: all products that read the same value are one
// instruction, so that activations are quantized once and threads meet once.

#include <algorithm>

#include "lower/lowering.h"

namespace thimble::lower {
namespace {

struct Product {
  ir::Linear linear;
  ir::ValueId bias;    // invalid: none
  ir::ValueId output;  // after the bias
};

Product with_bias(Lowering& lowering, const ir::Linear& linear) {
  Product product{linear, {}, linear.output};
  const ir::Node& node = lowering.graph().node(linear.product);
  if (node.op == "Gemm" && node.inputs.size() > 2 && node.inputs[2].valid()) {
    product.bias = node.inputs[2];
    return product;
  }
  const auto user = lowering.only_user(linear.output);
  if (!user) return product;
  const ir::Node& sum = lowering.graph().node(*user);
  if (const auto bias = lowering.constant_addend(sum, linear.output, linear.rows)) {
    product.bias = *bias;
    product.output = sum.outputs[0];
    lowering.mark_done(*user);
  }
  return product;
}

std::vector<Product> products_of(Lowering& lowering, ir::ValueId input) {
  std::vector<Product> products;
  for (const ir::NodeId user : lowering.graph().users(input)) {
    if (lowering.is_done(user) || !lowering.needed(user)) continue;
    const auto linear = ir::match_linear(lowering.model(), lowering.graph(), user);
    if (!linear || !(linear->input == input)) continue;
    lowering.mark_done(user);
    products.push_back(with_bias(lowering, *linear));
  }
  return products;
}

Status lower_linear(Lowering& lowering, const ir::Node& node, ir::ValueId input) {
  THIMBLE_ASSIGN(const std::int32_t x, lowering.slot(input));
  std::vector<std::int32_t> inputs = {x};
  std::vector<std::int32_t> outputs;
  bool tiled = false;
  for (const Product& product : products_of(lowering, input)) {
    THIMBLE_ASSIGN(const std::int32_t weight, lowering.weight_slot(product.linear));
    THIMBLE_ASSIGN(const std::int32_t bias, lowering.slot(product.bias));
    THIMBLE_ASSIGN(const std::int32_t output, lowering.slot(product.output));
    inputs.insert(inputs.end(), {weight, bias});
    outputs.push_back(output);
    tiled = tiled || !lowering.model().weight(product.linear.weight).encoding.is_dense();
  }
  lowering.emit(program::Op::kLinear, node, std::move(inputs), std::move(outputs)).attributes =
      tiled ? activation_attributes(lowering.graph().value(input))
            : std::vector<program::Attribute>{ints("activation", {0})};
  return ok();
}

Status lower_matmul(Lowering& lowering, ir::NodeId id, const ir::Node& node) {
  if (const auto linear = ir::match_linear(lowering.model(), lowering.graph(), id))
    return lower_linear(lowering, node, linear->input);
  if (node.op == "Gemm") return lower_direct(lowering, id, node);
  return lowering.emit_plain(program::Op::kMatMul, node);
}

// A weight's transpose is read by products, which take the weight itself.
Status lower_transpose(Lowering& lowering, ir::NodeId, const ir::Node& node) {
  if (lowering.graph().value(node.inputs[0]).weight.valid()) {
    const auto users = lowering.graph().users(node.outputs[0]);
    const bool products = std::all_of(users.begin(), users.end(), [&](ir::NodeId user) {
      return ir::match_linear(lowering.model(), lowering.graph(), user).has_value();
    });
    if (products) return ok();
  }
  std::vector<std::int64_t> perm = node.integers("perm");
  if (perm.empty()) {
    const ir::Shape* shape = lowering.shape(node.inputs[0]);
    for (std::size_t i = shape != nullptr ? shape->size() : 0; i > 0; --i)
      perm.push_back(static_cast<std::int64_t>(i) - 1);
  }
  return lowering.emit_plain(program::Op::kTranspose, node, {ints("perm", std::move(perm))});
}

}  // namespace

Handler linear_handler(std::string_view op, std::string_view domain) {
  if (!domain.empty()) return nullptr;
  if (op == "MatMul" || op == "Gemm") return lower_matmul;
  if (op == "Transpose") return lower_transpose;
  return nullptr;
}

}  // namespace thimble::lower

// Arithmetic on 8-bit integers: as the float operator between DequantizeLinear and QuantizeLinear,
// which is how these operators are defined, or as MatMulInteger and its scales.

#include <array>

#include "formats/onnx/contrib.h"
#include "formats/onnx/quantized_weight.h"

namespace thimble::formats::onnx {
namespace {

using Integers = std::vector<std::int64_t>;

Status need(const Rewriter& r, std::initializer_list<std::size_t> inputs) {
  for (const std::size_t i : inputs) {
    if (!r.has(i)) return r.refuse("it lacks input " + std::to_string(i));
  }
  return ok();
}

// Inputs first, first + 1 and first + 2: codes, scale, zero point.
ir::ValueId dequantized(Rewriter& r, std::size_t first, Attributes attributes = {}) {
  return r.emit("DequantizeLinear", {r.input(first), r.input(first + 1), r.input(first + 2)},
                std::move(attributes));
}

void finish_quantized(Rewriter& r, ir::ValueId y, std::size_t scale) {
  r.replace({r.emit("QuantizeLinear", {y, r.input(scale), r.input(scale + 1)})});
}

Status binary(Rewriter& r, std::string_view op) {
  THIMBLE_TRY(need(r, {0, 1, 3, 4, 6}));
  const ir::ValueId a = dequantized(r, 0), b = dequantized(r, 3);
  finish_quantized(r, r.emit(op, {a, b}), 6);
  return ok();
}

Status add(Rewriter& r) { return binary(r, "Add"); }
Status mul(Rewriter& r) { return binary(r, "Mul"); }

Status unary(Rewriter& r, std::string_view op) {
  THIMBLE_TRY(need(r, {0, 1, 3}));
  const Attributes attributes = r.node().attributes;
  finish_quantized(r, r.emit(op, {dequantized(r, 0)}, attributes), 3);
  return ok();
}

Status sigmoid(Rewriter& r) { return unary(r, "Sigmoid"); }
Status leaky_relu(Rewriter& r) { return unary(r, "LeakyRelu"); }

Status softmax(Rewriter& r) {
  if (r.take<std::int64_t>("opset").value_or(13) < 13) {
    return r.refuse("its form of opset 12 and older is not supported");
  }
  r.set_default("axis", std::int64_t{-1});
  return unary(r, "Softmax");
}

Status pool(Rewriter& r, std::string_view op) {
  if (r.take<std::int64_t>("channels_last").value_or(0) == 0) return unary(r, op);
  THIMBLE_TRY(need(r, {0, 1, 3}));
  const Attributes attributes = r.node().attributes;
  const ir::ValueId x = r.emit("Transpose", {dequantized(r, 0)}, {{"perm", Integers{0, 3, 1, 2}}});
  const ir::ValueId y = r.emit(op, {x}, attributes);
  finish_quantized(r, r.emit("Transpose", {y}, {{"perm", Integers{0, 2, 3, 1}}}), 3);
  return ok();
}

Status average_pool(Rewriter& r) { return pool(r, "AveragePool"); }
Status global_average_pool(Rewriter& r) { return pool(r, "GlobalAveragePool"); }

// Inputs: scale and zero point of the result, then three for each part.
Status concat(Rewriter& r) {
  THIMBLE_TRY(need(r, {0}));
  const std::size_t count = r.node().inputs.size();
  if (count < 4) return r.refuse("it has no parts");
  const Attributes attributes = r.node().attributes;
  Inputs parts;
  for (std::size_t i = 2; i < count; i += 3) {
    THIMBLE_TRY(need(r, {i, i + 1}));
    parts.push_back(dequantized(r, i));
  }
  finish_quantized(r, r.emit("Concat", parts, attributes), 0);
  return ok();
}

// Inputs: condition, two triples, the result's scale and zero point.
Status where(Rewriter& r) {
  THIMBLE_TRY(need(r, {0, 1, 2, 4, 5, 7}));
  const ir::ValueId a = dequantized(r, 1), b = dequantized(r, 4);
  finish_quantized(r, r.emit("Where", {r.input(0), a, b}), 7);
  return ok();
}

ir::ValueId as_float(Rewriter& r, ir::ValueId value) {
  return r.emit("Cast", {value}, {{"to", static_cast<std::int64_t>(ir::DType::kF32)}});
}

// Inputs: two triples, a bias of 32-bit integers in units of both scales, the result's scale and
// zero point; without those the result is a float.
Status gemm(Rewriter& r) {
  THIMBLE_TRY(need(r, {0, 1, 3, 4}));
  const std::int64_t trans_b = r.node().integer("transB", 0);
  const float alpha = r.node().real("alpha", 1.0f);
  const Attributes attributes = {{"alpha", alpha},
                                 {"beta", alpha},
                                 {"transA", r.node().integer("transA", 0)},
                                 {"transB", trans_b}};
  const ir::ValueId a = dequantized(r, 0);
  const ir::ValueId b = dequantized(r, 3, {{"axis", std::int64_t{trans_b != 0 ? 0 : 1}}});
  Inputs inputs = {a, b};
  if (r.has(6)) {
    const ir::ValueId unit = r.emit("Mul", {r.input(1), r.input(4)});
    inputs.push_back(r.emit("Mul", {as_float(r, r.input(6)), unit}));
  }
  const ir::ValueId y = r.emit("Gemm", inputs, attributes);
  if (r.has(7)) {
    finish_quantized(r, y, 7);
  } else {
    r.replace({y});
  }
  return ok();
}

// Before opset 21 ONNX Runtime's tools take its own for integers of 16 and 4 bits.
Status standard_form(Rewriter& r) {
  r.set_operator(std::string(r.node().op));
  return ok();
}

struct IntegerProduct {
  ir::ValueId a, b, a_scale, b_scale, a_zero, b_zero, bias;
};

void finish_product(Rewriter& r, const IntegerProduct& p) {
  const ir::ValueId sum = r.emit("MatMulInteger", {p.a, p.b, p.a_zero, p.b_zero});
  const ir::ValueId scale = r.emit("Mul", {p.a_scale, p.b_scale});
  ir::ValueId y = r.emit("Mul", {as_float(r, sum), scale});
  if (p.bias.valid()) y = r.emit("Add", {y, p.bias});
  r.replace({y});
}

// Inputs: a, b, b's scale and zero point, bias.
Status dynamic_matmul(Rewriter& r) {
  THIMBLE_TRY(need(r, {0, 1, 2}));
  const auto a = r.emit_many("DynamicQuantizeLinear", {r.input(0)}, {}, 3);
  finish_product(r, {a[0], r.input(1), a[1], r.input(2), a[2], r.input(3), r.input(4)});
  return ok();
}

// Inputs: a, b, both scales, both zero points, bias.
Status matmul_to_float(Rewriter& r) {
  THIMBLE_TRY(need(r, {0, 1, 2, 3}));
  finish_product(
      r, {r.input(0), r.input(1), r.input(2), r.input(3), r.input(4), r.input(5), r.input(6)});
  return ok();
}

// Codes [directions, in, 4 hidden] with a scale per direction or per direction and column, as the
// weight [directions, 4 hidden, in] that LSTM takes: on its own grid where all is constant.
Expected<ir::ValueId> lstm_weight(Rewriter& r, ir::ValueId codes, ir::ValueId scale,
                                  ir::ValueId zero) {
  const ir::Weight *c = r.weight_of(codes), *s = r.weight_of(scale), *z = r.weight_of(zero);
  if (c != nullptr && s != nullptr && (z != nullptr || !zero.valid())) {
    CodedParts parts{*c, *s, {}};
    if (z != nullptr) parts.zeros = *z;
    if (std::optional<ir::Weight> weight = coded_recurrent_weight(parts))
      return ir::add_constant(r.model(), r.graph(), *std::move(weight));
  }
  const auto rank = r.rank_of(scale);
  if (!rank || (*rank != 1 && *rank != 2)) return r.refuse("a scale's rank must be 1 or 2");
  const ir::ValueId axes = r.integers(*rank == 1 ? Integers{1, 2} : Integers{1});
  ir::ValueId w = as_float(r, codes);
  if (zero.valid()) w = r.emit("Sub", {w, r.emit("Unsqueeze", {as_float(r, zero), axes})});
  w = r.emit("Mul", {w, r.emit("Unsqueeze", {scale, axes})});
  return r.emit("Transpose", {w}, {{"perm", Integers{0, 2, 1}}});
}

Status dynamic_lstm(Rewriter& r) {
  THIMBLE_TRY(need(r, {0, 1, 2, 8, 10}));
  THIMBLE_ASSIGN(const ir::ValueId w, lstm_weight(r, r.input(1), r.input(8), r.input(9)));
  THIMBLE_ASSIGN(const ir::ValueId h, lstm_weight(r, r.input(2), r.input(10), r.input(11)));
  r.set_operator("LSTM");
  r.set_input(1, w);
  r.set_input(2, h);
  r.drop_inputs_from(8);
  return ok();
}

constexpr std::array kContribQuantized = {
    Adapter{"QuantizeLinear", 0, standard_form},
    Adapter{"DequantizeLinear", 0, standard_form},
    Adapter{"QLinearAdd", 0, add},
    Adapter{"QLinearMul", 0, mul},
    Adapter{"QLinearSigmoid", 0, sigmoid},
    Adapter{"QLinearLeakyRelu", 0, leaky_relu},
    Adapter{"QLinearSoftmax", 0, softmax},
    Adapter{"QLinearAveragePool", 0, average_pool},
    Adapter{"QLinearGlobalAveragePool", 0, global_average_pool},
    Adapter{"QLinearConcat", 0, concat},
    Adapter{"QLinearWhere", 0, where},
    Adapter{"QGemm", 0, gemm},
    Adapter{"DynamicQuantizeMatMul", 0, dynamic_matmul},
    Adapter{"MatMulIntegerToFloat", 0, matmul_to_float},
    Adapter{"DynamicQuantizeLSTM", 0, dynamic_lstm},
};

}  // namespace

std::span<const Adapter> quantized_contribs() { return kContribQuantized; }

}  // namespace thimble::formats::onnx

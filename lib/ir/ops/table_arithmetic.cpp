// Arithmetic: what nodes of these operators may look like.

#include "ir/ops/schema.h"
#include "ir/ops/shape_functions.h"

namespace thimble::ir {
namespace {

using K = AttributeKind;

OpSchema unary(std::string_view name, std::vector<AttributeSchema> attributes = {}) {
  return {"", name, 1, 1, 1, 1, std::move(attributes), shapes::same_as_input};
}
OpSchema binary(std::string_view name, std::vector<AttributeSchema> attributes = {}) {
  return {"", name, 2, 2, 1, 1, std::move(attributes), shapes::arithmetic};
}
OpSchema variadic(std::string_view name) {
  return {"", name, 1, kAnyNumber, 1, 1, {}, shapes::arithmetic};
}
OpSchema reduction(std::string_view name) {
  return {"", name, 1, 2, 1, 1, {{"keepdims"}, {"noop_with_empty_axes"}}, shapes::reduce};
}

std::vector<OpSchema> functions() {
  return {
      unary("Tan"),
      unary("Asin"),
      unary("Acos"),
      unary("Atan"),
      unary("Sinh"),
      unary("Cosh"),
      unary("Asinh"),
      unary("Acosh"),
      unary("Atanh"),
      unary("Sign"),
      unary("Softsign"),
      unary("Mish"),
      unary("BitwiseNot"),
      unary("Elu", {{"alpha", K::kReal}}),
      unary("Selu", {{"alpha", K::kReal}, {"gamma", K::kReal}}),
      unary("Celu", {{"alpha", K::kReal}}),
      unary("HardSigmoid", {{"alpha", K::kReal}, {"beta", K::kReal}}),
      unary("LeakyRelu", {{"alpha", K::kReal}}),
      unary("ThresholdedRelu", {{"alpha", K::kReal}}),
      unary("Shrink", {{"bias", K::kReal}, {"lambd", K::kReal}}),
      {"", "IsNaN", 1, 1, 1, 1, {}, shapes::predicate, types::boolean},
      {"",
       "IsInf",
       1,
       1,
       1,
       1,
       {{"detect_negative"}, {"detect_positive"}},
       shapes::predicate,
       types::boolean},
      {"", "Clip", 1, 3, 1, 1, {}, shapes::same_as_input},
      {"", "PRelu", 2, 2, 1, 1, {}, shapes::same_as_input},
      {"", "Xor", 2, 2, 1, 1, {}, shapes::arithmetic},
      binary("BitwiseAnd"),
      binary("BitwiseOr"),
      binary("BitwiseXor"),
      binary("BitShift", {{"direction", K::kText, true}}),
      variadic("Sum"),
      variadic("Mean"),
  };
}

std::vector<OpSchema> conversions() {
  return {
      {"",
       "CastLike",
       2,
       2,
       1,
       1,
       {{"round_mode", K::kText}, {"saturate"}},
       shapes::cast_like,
       types::second},
      {"", "BitCast", 1, 1, 1, 1, {{"to", K::kInteger, true}}, shapes::bit_cast, types::target},
      {"",
       "QuantizeLinear",
       2,
       3,
       1,
       1,
       {{"axis"}, {"block_size"}, {"output_dtype"}, {"precision"}, {"saturate"}},
       shapes::quantize,
       types::quantized},
      {"",
       "DequantizeLinear",
       2,
       3,
       1,
       1,
       {{"axis"}, {"block_size"}, {"output_dtype"}},
       shapes::dequantize,
       types::dequantized},
      {"",
       "DynamicQuantizeLinear",
       1,
       1,
       3,
       3,
       {},
       shapes::quantize_dynamically,
       types::quantized_dynamically},
      {"", "MatMulInteger", 2, 4, 1, 1, {}, shapes::matmul_integer, types::i32},
      {"", "QLinearMatMul", 8, 8, 1, 1, {}, shapes::matmul_quantized, types::eighth},
  };
}

std::vector<OpSchema> folds() {
  const std::vector<AttributeSchema> choice = {{"axis"}, {"keepdims"}, {"select_last_index"}};
  return {
      reduction("ReduceProd"),
      reduction("ReduceL1"),
      reduction("ReduceSumSquare"),
      reduction("ReduceLogSum"),
      reduction("ReduceLogSumExp"),
      {"", "LogSoftmax", 1, 1, 1, 1, {{"axis"}}, shapes::along_axis},
      {"", "Hardmax", 1, 1, 1, 1, {{"axis"}}, shapes::along_axis},
      {"", "CumProd", 2, 2, 1, 1, {{"exclusive"}, {"reverse"}}, shapes::along_axis},
      {"", "ArgMax", 1, 1, 1, 1, choice, shapes::arg_reduce, types::i64},
      {"", "ArgMin", 1, 1, 1, 1, choice, shapes::arg_reduce, types::i64},
      {"",
       "TopK",
       2,
       2,
       1,
       2,
       {{"axis"}, {"largest"}, {"sorted"}},
       shapes::top_k,
       types::value_and_index},
      {"", "Einsum", 1, kAnyNumber, 1, 1, {{"equation", K::kText, true}}, shapes::einsum},
      {"", "Det", 1, 1, 1, 1, {}, shapes::determinant},
  };
}

}  // namespace

std::vector<OpSchema> arithmetic_schemas() {
  std::vector<OpSchema> all;
  for (const auto& part : {functions(), conversions(), folds()})
    all.insert(all.end(), part.begin(), part.end());
  return all;
}

}  // namespace thimble::ir

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
OpSchema compare(std::string_view name) {
  return {"", name, 2, 2, 1, 1, {}, shapes::comparison, types::boolean};
}
OpSchema reduction(std::string_view name) {
  return {"", name, 1, 2, 1, 1, {{"keepdims"}, {"noop_with_empty_axes"}}, shapes::reduce};
}

// `window` > 0: a key is seen when key_position > query_position - window.
OpSchema attention(std::string_view domain) {
  OpSchema schema{domain, "Attention", 3, 7, 1, 4, {}, shapes::attention};
  schema.attributes = {{"is_causal"},       {"kv_num_heads"},          {"left_window_size"},
                       {"q_num_heads"},     {"qk_matmul_output_mode"}, {"right_window_size"},
                       {"scale", K::kReal}, {"softcap", K::kReal},     {"softmax_precision"}};
  if (domain == "thimble") schema.attributes.push_back({"window", K::kInteger, true});
  return schema;
}

std::vector<OpSchema> elementwise() {
  return {
      binary("Add"),
      binary("Sub"),
      binary("Mul"),
      binary("Div"),
      binary("Pow"),
      binary("Mod", {{"fmod"}}),
      binary("And"),
      binary("Or"),
      variadic("Min"),
      variadic("Max"),
      unary("Neg"),
      unary("Abs"),
      unary("Sqrt"),
      unary("Exp"),
      unary("Log"),
      unary("Erf"),
      unary("Tanh"),
      unary("Sigmoid"),
      unary("Relu"),
      unary("Gelu", {{"approximate", K::kText}}),
      unary("Swish", {{"alpha", K::kReal}}),
      unary("HardSwish"),
      unary("Softplus"),
      unary("Reciprocal"),
      unary("Floor"),
      unary("Ceil"),
      unary("Round"),
      unary("Cos"),
      unary("Sin"),
      unary("Not"),
      compare("Equal"),
      compare("Less"),
      compare("LessOrEqual"),
      compare("Greater"),
      compare("GreaterOrEqual"),
      {"", "Where", 3, 3, 1, 1, {}, shapes::where, types::second},
      {"",
       "Cast",
       1,
       1,
       1,
       1,
       {{"round_mode", K::kText}, {"saturate"}, {"to", K::kInteger, true}},
       shapes::cast,
       types::target},
      {"", "Identity", 1, 1, 1, 1, {}, shapes::integer_preserving},
      {"",
       "Constant",
       0,
       0,
       1,
       1,
       {{"value", K::kWeight},
        {"value_float", K::kReal},
        {"value_floats", K::kReals},
        {"value_int"},
        {"value_ints", K::kIntegers}},
       shapes::constant},
      {"",
       "ConstantOfShape",
       1,
       1,
       1,
       1,
       {{"value", K::kWeight}},
       shapes::constant_of_shape,
       types::value_or_f32},
  };
}

std::vector<OpSchema> layout() {
  return {
      {"", "Reshape", 2, 2, 1, 1, {{"allowzero"}}, shapes::reshape},
      {"", "Transpose", 1, 1, 1, 1, {{"perm", K::kIntegers}}, shapes::transpose},
      {"", "Unsqueeze", 2, 2, 1, 1, {}, shapes::unsqueeze},
      {"", "Squeeze", 1, 2, 1, 1, {}, shapes::squeeze},
      {"", "Flatten", 1, 1, 1, 1, {{"axis"}}, shapes::flatten},
      {"", "Expand", 2, 2, 1, 1, {}, shapes::expand},
      {"", "Shape", 1, 1, 1, 1, {{"end"}, {"start"}}, shapes::shape_of, types::i64},
      {"", "Concat", 1, kAnyNumber, 1, 1, {{"axis", K::kInteger, true}}, shapes::concat},
      {"", "Slice", 3, 5, 1, 1, {}, shapes::slice},
      {"", "Split", 1, 2, 1, kAnyNumber, {{"axis"}, {"num_outputs"}}, shapes::split},
      {"", "Gather", 2, 2, 1, 1, {{"axis"}}, shapes::gather},
      {"", "Range", 3, 3, 1, 1, {}, shapes::range},
  };
}

std::vector<OpSchema> products() {
  return {
      {"", "MatMul", 2, 2, 1, 1, {}, shapes::matmul},
      {"",
       "Gemm",
       2,
       3,
       1,
       1,
       {{"alpha", K::kReal}, {"beta", K::kReal}, {"transA"}, {"transB"}},
       shapes::gemm},
      reduction("ReduceSum"),
      reduction("ReduceMean"),
      reduction("ReduceMax"),
      reduction("ReduceMin"),
      reduction("ReduceL2"),
      {"", "Softmax", 1, 1, 1, 1, {{"axis"}}, shapes::along_axis},
      {"", "CumSum", 2, 2, 1, 1, {{"exclusive"}, {"reverse"}}, shapes::along_axis},
      {"",
       "LayerNormalization",
       2,
       3,
       1,
       3,
       {{"axis"}, {"epsilon", K::kReal}, {"stash_type"}},
       shapes::normalization},
      {"",
       "RMSNormalization",
       2,
       2,
       1,
       1,
       {{"axis"}, {"epsilon", K::kReal}, {"stash_type"}},
       shapes::normalization},
      {"",
       "RotaryEmbedding",
       3,
       4,
       1,
       1,
       {{"interleaved"}, {"num_heads"}, {"rotary_embedding_dim"}},
       shapes::rotary_embedding},
      attention(""),
      attention("thimble"),
  };
}

}  // namespace

std::string_view attribute_kind_name(AttributeKind kind) {
  switch (kind) {
    case K::kInteger:
      return "an integer";
    case K::kReal:
      return "a float";
    case K::kText:
      return "a string";
    case K::kIntegers:
      return "a list of integers";
    case K::kReals:
      return "a list of floats";
    case K::kTexts:
      return "a list of strings";
    case K::kWeight:
      return "a tensor";
    case K::kGraph:
      return "a graph";
  }
  return "";
}

std::span<const OpSchema> operators() {
  static const std::vector<OpSchema> table = [] {
    std::vector<OpSchema> all;
    for (const auto& part : {elementwise(), layout(), products(), arithmetic_schemas(),
                             image_schemas(), selection_schemas(), control_schemas()}) {
      all.insert(all.end(), part.begin(), part.end());
    }
    return all;
  }();
  return table;
}

const OpSchema* find_operator(std::string_view domain, std::string_view name) {
  for (const OpSchema& schema : operators()) {
    if (schema.name == name && schema.domain == domain) return &schema;
  }
  return nullptr;
}

}  // namespace thimble::ir

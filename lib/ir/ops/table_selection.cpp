// Operators that select, scatter and make shapes: what nodes of these may look like.

#include "ir/ops/schema.h"
#include "ir/ops/shape_context.h"
#include "ir/ops/shape_functions.h"

namespace thimble::ir {
namespace {

using K = AttributeKind;

DType values_then_i64(const ShapeContext& context, std::size_t output) {
  return output == 0 ? context.dtype(0) : DType::kI64;
}

std::vector<OpSchema> gathering() {
  return {
      {"", "GatherElements", 2, 2, 1, 1, {{"axis"}}, shapes::gather_elements},
      {"", "GatherND", 2, 2, 1, 1, {{"batch_dims"}}, shapes::gather_nd},
      {"", "Compress", 2, 2, 1, 1, {{"axis"}}},
      {"", "NonZero", 1, 1, 1, 1, {}, shapes::non_zero, types::i64},
      {"", "NonMaxSuppression", 2, 5, 1, 1, {{"center_point_box"}}, nullptr, types::i64},
      {"", "Unique", 1, 1, 1, 4, {{"axis"}, {"sorted"}}, nullptr, values_then_i64},
      {"", "ReverseSequence", 2, 2, 1, 1, {{"batch_axis"}, {"time_axis"}}, shapes::same_as_input},
      {"", "OneHot", 3, 3, 1, 1, {{"axis"}}, shapes::one_hot, types::third},
  };
}

std::vector<OpSchema> scattering() {
  return {
      {"",
       "ScatterElements",
       3,
       3,
       1,
       1,
       {{"axis"}, {"reduction", K::kText}},
       shapes::same_as_input},
      {"", "ScatterND", 3, 3, 1, 1, {{"reduction", K::kText}}, shapes::same_as_input},
      {"", "TensorScatter", 2, 3, 1, 1, {{"axis"}, {"mode", K::kText}}, shapes::same_as_input},
  };
}

std::vector<OpSchema> making() {
  return {
      {"",
       "Dropout",
       1,
       3,
       1,
       2,
       {{"seed"}},
       [](ShapeContext& c) {
         c.give({{c.dtype(0), c.shape(0), {}}, {DType::kBool, c.shape(0), {}}});
         return ok();
       },
       [](const ShapeContext& c, std::size_t output) {
         return output == 0 ? c.dtype(0) : DType::kBool;
       }},
      {"", "Size", 1, 1, 1, 1, {}, shapes::size, types::i64},
      {"", "Tile", 2, 2, 1, 1, {}, shapes::tile},
      {"", "Trilu", 1, 2, 1, 1, {{"upper"}}, shapes::same_as_input},
      {"", "EyeLike", 1, 1, 1, 1, {{"dtype"}, {"k"}}, shapes::eye_like, types::target},
  };
}

std::vector<OpSchema> remembering() {
  return {
      {"",
       "LinearAttention",
       3,
       6,
       1,
       2,
       {{"chunk_size"},
        {"kv_num_heads", K::kInteger, true},
        {"q_num_heads", K::kInteger, true},
        {"scale", K::kReal},
        {"update_rule", K::kText}},
       shapes::linear_attention},
      {"",
       "CausalConvWithState",
       2,
       4,
       1,
       2,
       {{"activation", K::kText}},
       shapes::causal_convolution},
  };
}

}  // namespace

std::vector<OpSchema> selection_schemas() {
  std::vector<OpSchema> all;
  for (const auto& part : {gathering(), scattering(), making(), remembering()})
    all.insert(all.end(), part.begin(), part.end());
  return all;
}

}  // namespace thimble::ir

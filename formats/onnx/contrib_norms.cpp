// Norms, embeddings and activations.

#include <array>

#include "formats/onnx/contrib.h"

namespace thimble::formats::onnx {
namespace {

constexpr float kNormEpsilon = 1e-5f, kSkipEpsilon = 1e-12f;

Status no_statistics(const Rewriter& r, std::size_t from, std::size_t to) {
  for (std::size_t i = from; i < to; ++i) {
    if (r.is_used(i)) return r.refuse("its mean and deviation as results are not supported");
  }
  return ok();
}

Attributes last_axis(const Rewriter& r, float epsilon) {
  return {{"axis", std::int64_t{-1}}, {"epsilon", r.node().real("epsilon", epsilon)}};
}

Status simplified(Rewriter& r) {
  THIMBLE_TRY(no_statistics(r, 1, 2));
  r.drop_outputs_from(1);
  r.set_operator("RMSNormalization");
  r.set_default("epsilon", kNormEpsilon);
  return ok();
}

// input + skip (+ bias), and the norm of the sum; the sum itself is output 3.
Status skip_norm(Rewriter& r, std::string_view norm, ir::ValueId beta, ir::ValueId bias) {
  if (!r.has(0) || !r.has(1) || !r.has(2)) return r.refuse("it needs input, skip and gamma");
  THIMBLE_TRY(no_statistics(r, 1, 3));
  ir::ValueId sum = r.emit("Add", {r.input(0), r.input(1)});
  if (bias.valid()) sum = r.emit("Add", {sum, bias});
  const ir::ValueId result = r.emit(norm, {sum, r.input(2), beta}, last_axis(r, kSkipEpsilon));
  r.replace({result, {}, {}, sum});
  return ok();
}

Status skip_simplified(Rewriter& r) { return skip_norm(r, "RMSNormalization", {}, r.input(3)); }
Status skip_layer(Rewriter& r) {
  return skip_norm(r, "LayerNormalization", r.input(3), r.input(4));
}

// 0, 1, ... for each position of a [batch, seq] tensor.
ir::ValueId positions_of(Rewriter& r, ir::ValueId tokens) {
  const ir::ValueId dim =
      r.emit("Shape", {tokens}, {{"end", std::int64_t{2}}, {"start", std::int64_t{1}}});
  const ir::ValueId length = r.emit("Squeeze", {dim, r.integers({0})});
  return r.emit("Range", {r.integer(0), length, r.integer(1)});
}

// Codes with a scale and a zero point for the whole table, which lie so many inputs behind it.
constexpr std::size_t kTableScale = 6, kTableZero = 11;

ir::ValueId table_floats(Rewriter& r, std::size_t table, ir::ValueId codes) {
  return r.emit("DequantizeLinear",
                {codes, r.input(table + kTableScale), r.input(table + kTableZero)});
}

// Inputs: ids, segment ids, tables of words, positions and segments, gamma, beta, mask; positions,
// or the scales and zero points of the tables, of gamma and of beta.
Status embed_tables(Rewriter& r, bool quantized) {
  for (const std::size_t needed : {0, 2, 3, 5, 6}) {
    if (!r.has(needed) || (quantized && needed > 0 && !r.has(needed + kTableScale)))
      return r.refuse("it lacks input " + std::to_string(needed) + " or its scale");
  }
  if (r.is_used(1) && !r.has(7)) return r.refuse("it lacks the mask that its mask index counts");
  const auto look_up = [&](std::size_t table, ir::ValueId ids) {
    const ir::ValueId found = r.emit("Gather", {r.input(table), ids});
    return quantized ? table_floats(r, table, found) : found;
  };
  const auto whole = [&](std::size_t i) {
    return quantized ? table_floats(r, i, r.input(i)) : r.input(i);
  };
  const ir::ValueId words = look_up(2, r.input(0));
  const ir::ValueId places = !quantized && r.has(8) ? r.input(8) : positions_of(r, r.input(0));
  ir::ValueId sum = r.emit("Add", {words, look_up(3, places)});
  if (r.has(1) && r.has(4)) sum = r.emit("Add", {sum, look_up(4, r.input(1))});
  const ir::ValueId result =
      r.emit("LayerNormalization", {sum, whole(5), whole(6)}, last_axis(r, kSkipEpsilon));
  ir::ValueId lengths;
  if (r.is_used(1)) {
    lengths = r.emit("ReduceSum", {r.input(7), r.integers({1})}, {{"keepdims", std::int64_t{0}}});
    const auto& mask = r.graph().value(r.input(7)).shape;  // that attention knows the mask's rank
    if (mask && mask->size() == 2)
      r.graph().value(r.node().outputs[1]).shape = ir::Shape{mask->front()};
  }
  r.replace({result, lengths, sum});
  return ok();
}

Status embed_norm(Rewriter& r) { return embed_tables(r, false); }
Status embed_quantized(Rewriter& r) { return embed_tables(r, true); }

Status gelu(Rewriter& r) {
  r.set_operator("Gelu");
  return ok();
}

// Gelu(x + bias), where there is a bias.
Status biased_gelu(Rewriter& r, std::string_view approximate) {
  if (!r.has(0)) return r.refuse("it has no input");
  const ir::ValueId x = r.has(1) ? r.emit("Add", {r.input(0), r.input(1)}) : r.input(0);
  r.replace({r.emit("Gelu", {x}, {{"approximate", std::string(approximate)}})});
  return ok();
}

Status bias_gelu(Rewriter& r) { return biased_gelu(r, "none"); }
Status fast_gelu(Rewriter& r) { return biased_gelu(r, "tanh"); }

Status quick_gelu(Rewriter& r) {
  r.set_operator("Swish");
  r.set_default("alpha", 1.702f);
  return ok();
}

constexpr std::array kContribNorms = {
    Adapter{"SimplifiedLayerNormalization", 0, simplified},
    Adapter{"SkipSimplifiedLayerNormalization", 0, skip_simplified},
    Adapter{"SkipLayerNormalization", 0, skip_layer},
    Adapter{"EmbedLayerNormalization", 0, embed_norm},
    Adapter{"QEmbedLayerNormalization", 0, embed_quantized},
    Adapter{"Gelu", 0, gelu},
    Adapter{"BiasGelu", 0, bias_gelu},
    Adapter{"FastGelu", 0, fast_gelu},
    Adapter{"QuickGelu", 0, quick_gelu},
};

}  // namespace

std::span<const Adapter> norm_contribs() { return kContribNorms; }

}  // namespace thimble::formats::onnx

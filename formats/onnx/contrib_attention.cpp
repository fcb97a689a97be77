// Attention over heads and its rotary embedding.

#include <array>

#include "formats/onnx/contrib.h"
#include "formats/onnx/contrib_heads.h"

namespace thimble::formats::onnx {
namespace {

using Integers = std::vector<std::int64_t>;

// start, start + 1, ... for each of `length` positions: [batch, length], as many rows as x has.
ir::ValueId positions_from(Rewriter& r, ir::ValueId x, ir::ValueId start, ir::ValueId length) {
  const ir::ValueId end = start.valid() ? r.emit("Add", {start, length}) : length;
  const ir::ValueId first = start.valid() ? start : r.integer(0);
  const ir::ValueId row = r.emit("Range", {first, end, r.integer(1)});
  const ir::ValueId batch =
      r.emit("Shape", {x}, {{"end", std::int64_t{1}}, {"start", std::int64_t{0}}});
  const ir::ValueId dims = r.emit("Concat", {batch, r.integers({1})}, {{"axis", std::int64_t{0}}});
  return r.emit("Expand", {row, dims});
}

// Inputs: x, position ids (or one offset), tables of cosines and sines per position.
Status rotary_embedding(Rewriter& r) {
  for (std::size_t i = 0; i < 4; ++i) {
    if (!r.has(i)) return r.refuse("it lacks input " + std::to_string(i));
  }
  if (r.node().integer("is_packed_batching", 0) != 0 || r.node().real("scale", 1.0f) != 1.0f) {
    return r.refuse("packed batches and scales are not supported");
  }
  const ir::ValueId x = r.input(0);
  const auto rank = r.rank_of(x);
  std::int64_t heads = r.node().integer("num_heads", 0);
  Rotary rotary;
  rotary.interleaved = r.node().integer("interleaved", 0);
  rotary.width = r.node().integer("rotary_embedding_dim", 0);
  const auto half = known_dim(r, r.input(2), 1), width = known_dim(r, x, 1);
  if (heads == 0 && rank != 4) {
    if (!half || !width || *half < 1 || rotary.width != 0) {
      return r.refuse("its number of heads can't be told");
    }
    heads = *width / (2 * *half);
  }
  ir::ValueId positions = r.input(1);
  if (r.rank_of(positions) == 1) {
    if (!rank) return r.refuse("an offset, and an input of unknown rank");
    const ir::ValueId offset = r.emit("Squeeze", {positions, r.integers({0})});
    positions = positions_from(r, x, offset, dim_of(r, x, *rank == 4 ? 2 : 1));
  }
  rotary.cosine = r.emit("Gather", {r.input(2), positions});
  rotary.sine = r.emit("Gather", {r.input(3), positions});
  r.replace({rotate(r, x, rotary, heads)});
  return ok();
}

// How many keys there are, those of the past among them.
ir::ValueId keys_of(Rewriter& r, const AttentionParts& p) {
  const ir::ValueId fresh = dim_of(r, p.k, r.rank_of(p.k) == 4 ? 2 : 1);
  return p.past_key.valid() ? r.emit("Add", {dim_of(r, p.past_key, 2), fresh}) : fresh;
}

// A mask of integers as what is added to the scores: [batch, keys] or [batch, queries, keys], 0
// where a key is not seen, or [batch], how many keys each sequence has.
Expected<ir::ValueId> padding_mask(Rewriter& r, ir::ValueId mask, const AttentionParts& p,
                                   ir::ValueId bias) {
  if (!mask.valid()) return bias;
  const std::int64_t rank = r.rank_of(mask).value_or(2);
  if (rank < 1 || rank > 3) return r.refuse("its padding mask must have one to three dims");
  ir::ValueId keep;
  if (rank == 1) {
    const ir::ValueId places = r.emit("Range", {r.integer(0), keys_of(r, p), r.integer(1)});
    const ir::ValueId count =
        r.emit("Cast", {mask}, {{"to", static_cast<std::int64_t>(ir::DType::kI64)}});
    keep = r.emit("Less", {places, r.emit("Unsqueeze", {count, r.integers({1})})});
  } else {
    keep = r.emit("Cast", {mask}, {{"to", static_cast<std::int64_t>(ir::DType::kBool)}});
  }
  const ir::ValueId masked = r.real(r.node().real("mask_filter_value", -10000.0f));
  const ir::ValueId scores = r.emit("Where", {keep, r.real(0.0f), masked});
  const ir::ValueId axes = rank == 3 ? r.integers({1}) : r.integers({1, 2});
  const ir::ValueId added = r.emit("Unsqueeze", {scores, axes});
  return bias.valid() ? r.emit("Add", {added, bias}) : added;
}

// Inputs: q, k, v, bias of all three, padding mask, bias of scores, past keys, past values.
Status multi_head(Rewriter& r) {
  for (std::size_t i = 0; i < 3; ++i) {
    if (!r.has(i)) return r.refuse("packed queries, keys and values are not supported");
    const auto rank = r.rank_of(r.input(i));
    if (rank && *rank != 3 && (i == 0 || *rank != 4)) return r.refuse("an operand of its rank");
  }
  if (r.has(8) || r.has(9) || r.is_used(3)) {
    return r.refuse("shared caches and scores as results are not supported");
  }
  AttentionParts p;
  p.q = r.input(0), p.k = heads_last(r, r.input(1)), p.v = heads_last(r, r.input(2));
  p.heads = p.kv_heads = r.node().integer("num_heads", 0);
  if (r.has(3)) {
    const auto width = known_dim(r, r.input(3), 1);
    if (!width || *width % 3 != 0) return r.refuse("a bias of unequal parts is not supported");
    const auto parts =
        r.emit_many("Split", {r.input(3), r.integers({*width / 3, *width / 3, *width / 3})},
                    {{"axis", std::int64_t{0}}}, 3);
    p.q = r.emit("Add", {p.q, parts[0]});
    p.k = r.emit("Add", {p.k, parts[1]});
    p.v = r.emit("Add", {p.v, parts[2]});
  }
  p.past_key = r.input(6), p.past_value = r.input(7);
  THIMBLE_ASSIGN(p.mask, padding_mask(r, r.input(4), p, r.input(5)));
  p.causal = r.node().integer("unidirectional", 0);
  p.scale = r.node().real("scale", 0.0f);
  p.presents = r.is_used(1) || r.is_used(2);
  r.replace(attend(r, p));
  return ok();
}

struct PackedInputs {
  std::size_t mask, past;
  ir::ValueId bias_of_scores;
};

// Past keys and values, which lie in one tensor [2, batch, heads, length, size].
void split_past(Rewriter& r, ir::ValueId past, AttentionParts& p) {
  const auto part = [&](std::int64_t i) {
    return r.emit("Gather", {past, r.integer(i)}, {{"axis", std::int64_t{0}}});
  };
  p.past_key = part(0), p.past_value = part(1);
}

// And what becomes of them.
ir::ValueId joined_present(Rewriter& r, const std::vector<ir::ValueId>& results) {
  const ir::ValueId axes = r.integers({0});
  return r.emit("Concat",
                {r.emit("Unsqueeze", {results[1], axes}), r.emit("Unsqueeze", {results[2], axes})},
                {{"axis", std::int64_t{0}}});
}

// Replaces the node by attention over `all`, queries, keys and values side by side.
Status attend_packed(Rewriter& r, ir::ValueId all, const PackedInputs& inputs) {
  if (r.node().integer("do_rotary", 0) != 0 ||
      r.node().integer("past_present_share_buffer", 0) != 0) {
    return r.refuse("rotary embeddings and shared caches are not supported");
  }
  AttentionParts p;
  Integers sizes = r.node().integers("qkv_hidden_sizes");
  const auto width = known_dim(r, r.input(1), 1);
  if (sizes.empty() && width) sizes.assign(3, *width / 3);
  if (sizes.size() != 3) return r.refuse("its sizes can't be told");
  const auto parts =
      r.emit_many("Split", {all, r.integers(sizes)}, {{"axis", std::int64_t{-1}}}, 3);
  p.q = parts[0], p.k = parts[1], p.v = parts[2];
  if (r.has(inputs.past)) split_past(r, r.input(inputs.past), p);
  THIMBLE_ASSIGN(p.mask, padding_mask(r, r.input(inputs.mask), p, inputs.bias_of_scores));
  p.heads = p.kv_heads = r.node().integer("num_heads", 0);
  p.causal = r.node().integer("unidirectional", 0);
  p.scale = r.node().real("scale", 0.0f);
  p.presents = r.is_used(1);
  const auto results = attend(r, p);
  r.replace({results[0], p.presents ? joined_present(r, results) : ir::ValueId{}});
  return ok();
}

// Inputs: x, weights [in, q + k + v], bias, mask, past, bias of scores.
Status packed_attention(Rewriter& r) {
  if (!r.has(0) || !r.has(1)) return r.refuse("it lacks inputs");
  ir::ValueId all = r.emit("MatMul", {r.input(0), r.input(1)});
  if (r.has(2)) all = r.emit("Add", {all, r.input(2)});
  return attend_packed(r, all, {3, 4, r.input(5)});
}

// Inputs: codes of x, of weights [in, q + k + v], bias, scales of both, mask, zeros of both, past.
Status quantized_attention(Rewriter& r) {
  for (const std::size_t i : {0, 1, 2, 3, 4}) {
    if (!r.has(i)) return r.refuse("it lacks inputs");
  }
  const ir::ValueId sum = r.emit("MatMulInteger", {r.input(0), r.input(1), r.input(6), r.input(7)});
  const ir::ValueId scale = r.emit("Mul", {r.input(3), r.input(4)});
  const ir::ValueId floats =
      r.emit("Cast", {sum}, {{"to", static_cast<std::int64_t>(ir::DType::kF32)}});
  const ir::ValueId all = r.emit("Add", {r.emit("Mul", {floats, scale}), r.input(2)});
  return attend_packed(r, all, {5, 8, {}});
}

constexpr std::array kContribAttention = {
    Adapter{"RotaryEmbedding", 0, rotary_embedding},
    Adapter{"MultiHeadAttention", 0, multi_head},
    Adapter{"Attention", 0, packed_attention},
    Adapter{"QAttention", 0, quantized_attention},
};

}  // namespace

std::span<const Adapter> attention_contribs() { return kContribAttention; }

}  // namespace thimble::formats::onnx

// Attention over heads and its rotary embedding.

#include <algorithm>
#include <array>

#include "formats/onnx/contrib.h"

namespace thimble::formats::onnx {
namespace {

using Integers = std::vector<std::int64_t>;

std::optional<std::int64_t> known_dim(const Rewriter& r, ir::ValueId id, std::int64_t from_end) {
  if (!id.valid()) return std::nullopt;
  const auto& shape = r.graph().value(id).shape;
  if (!shape || from_end > static_cast<std::int64_t>(shape->size())) return std::nullopt;
  return (*shape)[shape->size() - static_cast<std::size_t>(from_end)].constant();
}

// A dim as a scalar.
ir::ValueId dim_of(Rewriter& r, ir::ValueId value, std::int64_t axis) {
  const ir::ValueId dim = r.emit("Shape", {value}, {{"end", axis + 1}, {"start", axis}});
  return r.emit("Squeeze", {dim, r.integers({0})});
}

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

struct Rotary {
  ir::ValueId cosine, sine;  // per position: [batch, seq, half]
  std::int64_t interleaved = 0;
  std::int64_t width = 0;  // of a head's rotated part; 0: all of it
};

ir::ValueId rotate(Rewriter& r, ir::ValueId x, const Rotary& rotary, std::int64_t heads) {
  return r.emit("RotaryEmbedding", {x, rotary.cosine, rotary.sine},
                {{"interleaved", rotary.interleaved},
                 {"num_heads", heads},
                 {"rotary_embedding_dim", rotary.width}});
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

struct AttentionParts {
  ir::ValueId q, k, v, mask, past_key, past_value;
  std::int64_t heads = 0, kv_heads = 0, causal = 0;
  std::int64_t window = 0;  // keys that a query sees, itself among them; 0: all
  float scale = 0.0f;       // 0: 1 / sqrt(head size)
  float softcap = 0.0f;
};

// Replaces the node: results are y and the present keys and values.
void finish_attention(Rewriter& r, const AttentionParts& p) {
  Attributes attributes = {
      {"is_causal", p.causal}, {"kv_num_heads", p.kv_heads}, {"q_num_heads", p.heads}};
  if (p.scale != 0.0f) attributes.push_back({"scale", p.scale});
  if (p.softcap != 0.0f) attributes.push_back({"softcap", p.softcap});
  if (p.window > 0) attributes.push_back({"window", p.window});
  const bool presents = r.is_used(1) || r.is_used(2);
  const auto results = r.emit_many("Attention", {p.q, p.k, p.v, p.mask, p.past_key, p.past_value},
                                   std::move(attributes), presents ? 3 : 1);
  if (p.window > 0) {
    r.graph().node(r.graph().value(results[0]).producer).domain = "thimble";
  }
  r.replace(results);
}

// Inputs of GroupQueryAttention.
enum GroupQuery : std::size_t {
  kQuery,
  kKey,
  kValue,
  kPastKey,
  kPastValue,
  kLastPositions,
  kTotalLength,
  kCosine,
  kSine,
  kPositions,
  kBias,
  kFirstUnsupported,
};

Status check_group_query(const Rewriter& r) {
  const ir::Node& node = r.node();
  for (std::size_t i = kFirstUnsupported; i < node.inputs.size(); ++i) {
    if (r.has(i)) return r.refuse("input " + std::to_string(i) + " is not supported");
  }
  if (!r.has(kQuery) || r.has(kKey) != r.has(kValue)) return r.refuse("it lacks inputs");
  if (r.has(kPastKey) != r.has(kPastValue)) return r.refuse("it has half a cache");
  if (node.integer("smooth_softmax", 0) > 0 || node.integer("kv_cache_bit_width", 0) != 0 ||
      node.integer("qk_output", 0) != 0 || r.is_used(3)) {
    return r.refuse("smooth softmax, quantized caches and scores as results are not supported");
  }
  return ok();
}

// One projection of queries, keys and values, in this order.
Status unpack(Rewriter& r, AttentionParts& p) {
  std::optional<std::int64_t> width = known_dim(r, r.input(kPastKey), 1);
  if (!width) {
    const auto all = known_dim(r, p.q, 1);
    if (!all) return r.refuse("the size of its heads can't be told");
    width = *all / (p.heads + 2 * p.kv_heads);
  }
  const ir::ValueId sizes =
      r.integers({p.heads * *width, p.kv_heads * *width, p.kv_heads * *width});
  const auto parts = r.emit_many("Split", {p.q, sizes}, {{"axis", std::int64_t{-1}}}, 3);
  p.q = parts[0], p.k = parts[1], p.v = parts[2];
  return ok();
}

// Every sequence of the batch is as long as the cache says: positions follow it.
Status rotate_group_query(Rewriter& r, AttentionParts& p) {
  if (!r.has(kCosine) || !r.has(kSine)) return r.refuse("it lacks its tables of cosines and sines");
  ir::ValueId positions = r.input(kPositions);
  if (!positions.valid()) {
    const ir::ValueId past = p.past_key.valid() ? dim_of(r, p.past_key, 2) : ir::ValueId{};
    positions = positions_from(r, p.q, past, dim_of(r, r.input(kQuery), 1));
  }
  Rotary rotary;
  rotary.cosine = r.emit("Gather", {r.input(kCosine), positions});
  rotary.sine = r.emit("Gather", {r.input(kSine), positions});
  rotary.interleaved = r.node().integer("rotary_interleaved", 0);
  const auto half = known_dim(r, r.input(kCosine), 1), width = known_dim(r, p.past_key, 1);
  if (half && width && 2 * *half != *width) rotary.width = 2 * *half;
  p.q = rotate(r, p.q, rotary, p.heads);
  p.k = rotate(r, p.k, rotary, p.kv_heads);
  return ok();
}

Status group_query(Rewriter& r) {
  THIMBLE_TRY(check_group_query(r));
  AttentionParts p;
  p.q = r.input(kQuery), p.k = r.input(kKey), p.v = r.input(kValue);
  p.past_key = r.input(kPastKey), p.past_value = r.input(kPastValue);
  p.mask = r.input(kBias);
  p.heads = r.node().integer("num_heads", 0);
  p.kv_heads = r.node().integer("kv_num_heads", 0);
  if (p.heads < 1 || p.kv_heads < 1 || p.heads > 65536 || p.kv_heads > 65536) {
    return r.refuse("its numbers of heads are impossible");
  }
  p.causal = r.node().integer("causal", 1);
  p.scale = r.node().real("scale", 0.0f);
  p.softcap = r.node().real("softcap", 0.0f);
  p.window = std::max<std::int64_t>(0, r.node().integer("local_window_size", -1));
  if (!p.k.valid()) THIMBLE_TRY(unpack(r, p));
  if (r.node().integer("do_rotary", 0) != 0) THIMBLE_TRY(rotate_group_query(r, p));
  finish_attention(r, p);
  return ok();
}

// [batch, heads, seq, size] as [batch, seq, heads * size].
ir::ValueId heads_last(Rewriter& r, ir::ValueId x) {
  if (r.rank_of(x) != 4) return x;
  const ir::ValueId swapped = r.emit("Transpose", {x}, {{"perm", Integers{0, 2, 1, 3}}});
  return r.emit("Reshape", {swapped, r.integers({0, 0, -1})});
}

// A mask [batch, keys] of integers, 0 where a key is padding, as what is added to the scores.
Expected<ir::ValueId> padding_mask(Rewriter& r, ir::ValueId mask, ir::ValueId bias) {
  if (!mask.valid()) return bias;
  if (r.rank_of(mask).value_or(2) != 2) return r.refuse("its padding mask must be a matrix");
  const ir::ValueId keep =
      r.emit("Cast", {mask}, {{"to", static_cast<std::int64_t>(ir::DType::kBool)}});
  const ir::ValueId masked = r.real(r.node().real("mask_filter_value", -10000.0f));
  const ir::ValueId scores = r.emit("Where", {keep, r.real(0.0f), masked});
  const ir::ValueId added = r.emit("Unsqueeze", {scores, r.integers({1, 2})});
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
  THIMBLE_ASSIGN(p.mask, padding_mask(r, r.input(4), r.input(5)));
  p.past_key = r.input(6), p.past_value = r.input(7);
  p.causal = r.node().integer("unidirectional", 0);
  p.scale = r.node().real("scale", 0.0f);
  finish_attention(r, p);
  return ok();
}

struct PackedInputs {
  std::size_t mask, past;
  ir::ValueId bias_of_scores;
};

// Replaces the node by attention over `all`, queries, keys and values side by side.
Status attend_packed(Rewriter& r, ir::ValueId all, const PackedInputs& inputs) {
  if (r.has(inputs.past) || r.is_used(1) || r.node().integer("do_rotary", 0) != 0) {
    return r.refuse("caches and rotary embeddings are not supported");
  }
  AttentionParts p;
  Integers sizes = r.node().integers("qkv_hidden_sizes");
  const auto width = known_dim(r, r.input(1), 1);
  if (sizes.empty() && width) sizes.assign(3, *width / 3);
  if (sizes.size() != 3) return r.refuse("its sizes can't be told");
  const auto parts =
      r.emit_many("Split", {all, r.integers(sizes)}, {{"axis", std::int64_t{-1}}}, 3);
  p.q = parts[0], p.k = parts[1], p.v = parts[2];
  THIMBLE_ASSIGN(p.mask, padding_mask(r, r.input(inputs.mask), inputs.bias_of_scores));
  p.heads = p.kv_heads = r.node().integer("num_heads", 0);
  p.causal = r.node().integer("unidirectional", 0);
  p.scale = r.node().real("scale", 0.0f);
  finish_attention(r, p);
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
    Adapter{"RotaryEmbedding", 0, rotary_embedding}, Adapter{"GroupQueryAttention", 0, group_query},
    Adapter{"MultiHeadAttention", 0, multi_head},    Adapter{"Attention", 0, packed_attention},
    Adapter{"QAttention", 0, quantized_attention},
};

}  // namespace

std::span<const Adapter> attention_contribs() { return kContribAttention; }

}  // namespace thimble::formats::onnx

// Attention of groups of queries, with a cache that the caller holds: what exporters for ONNX
// Runtime's generation write.

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "formats/onnx/contrib.h"
#include "formats/onnx/contrib_heads.h"

namespace thimble::formats::onnx {
namespace {

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
  kSinks,
  kFirstUnsupported,
};

// What a head's softmax sums beside the keys: a logit of its own, or one of 0.
bool has_sinks(const Rewriter& r) {
  return r.has(kSinks) || r.node().integer("smooth_softmax", 0) > 0;
}

Status check_group_query(const Rewriter& r) {
  const ir::Node& node = r.node();
  constexpr std::string_view kUnsupported[] = {"k_scale", "v_scale", "q_norm_weight",
                                               "k_norm_weight"};
  for (std::size_t i = kFirstUnsupported; i < node.inputs.size(); ++i) {
    const std::size_t at = i - kFirstUnsupported;
    if (r.has(i))
      return r.refuse(
          "input " +
          (at < std::size(kUnsupported) ? std::string(kUnsupported[at]) : std::to_string(i)) +
          " is not supported");
  }
  if (!r.has(kQuery) || r.has(kKey) != r.has(kValue)) return r.refuse("it lacks inputs");
  if (r.has(kPastKey) != r.has(kPastValue)) return r.refuse("it has half a cache");
  if (node.integer("kv_cache_bit_width", 0) != 0 || node.integer("qk_output", 0) != 0 ||
      r.is_used(3)) {
    return r.refuse("quantized caches and scores as results are not supported");
  }
  if (has_sinks(r) && (!r.has(kPastKey) || node.real("softcap", 0.0f) != 0.0f)) {
    return r.refuse("sinks (head_sink, smooth_softmax) need a cache and take no softcap");
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

// Where each sequence goes on. The operator tells it by the last position of each: the cache may be
// longer than what it holds, and shorter sequences of a batch are filled up behind.
struct Steps {
  ir::ValueId queries;    // how many there are: i64[]
  ir::ValueId start;      // of each sequence: i64[batch]
  ir::ValueId positions;  // of each query: i64[batch, queries]
};

ir::ValueId as_i64(Rewriter& r, ir::ValueId x) {
  return r.emit("Cast", {x}, {{"to", static_cast<std::int64_t>(ir::DType::kI64)}});
}

Steps steps_of(Rewriter& r) {
  Steps steps;
  const ir::ValueId zero = r.integer(0), one = r.integer(1);
  steps.queries = dim_of(r, r.input(kQuery), 1);
  const ir::ValueId last =
      r.emit("Reshape", {as_i64(r, r.input(kLastPositions)), r.integers({-1})});
  const ir::ValueId before = r.emit("Sub", {r.emit("Add", {last, one}), steps.queries});
  steps.start = r.emit("Max", {before, zero});  // a prompt begins at 0, filled up or not
  const ir::ValueId ahead = r.emit("Range", {zero, steps.queries, one});
  steps.positions = r.emit("Add", {r.emit("Unsqueeze", {steps.start, r.integers({1})}), ahead});
  return steps;
}

Status rotate_group_query(Rewriter& r, const Steps& steps, AttentionParts& p) {
  if (!r.has(kCosine) || !r.has(kSine)) return r.refuse("it lacks its tables of cosines and sines");
  const ir::ValueId positions = r.has(kPositions) ? r.input(kPositions) : steps.positions;
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

// Rows that the cache is to have: those of the longest sequence, or as many as it has.
ir::ValueId cache_length(Rewriter& r) {
  const ir::ValueId total = r.emit("Squeeze", {as_i64(r, r.input(kTotalLength))});
  return r.emit("Max", {dim_of(r, r.input(kPastKey), 2), total});
}

// The cache with the new rows of each sequence behind those that it holds.
ir::ValueId present(Rewriter& r, ir::ValueId past, ir::ValueId fresh, ir::ValueId length,
                    const Steps& steps) {
  const auto dims = [&](std::int64_t begin, std::int64_t end) {
    return r.emit("Shape", {past}, {{"end", end}, {"start", begin}});
  };
  const ir::ValueId more = r.emit("Sub", {length, dim_of(r, past, 2)});
  const ir::ValueId shape =
      r.emit("Concat", {dims(0, 2), r.emit("Unsqueeze", {more, r.integers({0})}), dims(3, 4)},
             {{"axis", std::int64_t{0}}});
  const ir::ValueId room = r.emit("Expand", {r.real(0.0f), shape});
  const ir::ValueId whole = r.emit("Concat", {past, room}, {{"axis", std::int64_t{2}}});
  return r.emit("TensorScatter", {whole, fresh, steps.start}, {{"axis", std::int64_t{2}}});
}

// Which keys of the cache each query sees: bool[batch, 1, queries, keys].
ir::ValueId seen_keys(Rewriter& r, ir::ValueId length, const Steps& steps,
                      const AttentionParts& p) {
  const ir::ValueId keys = r.emit("Range", {r.integer(0), length, r.integer(1)});
  const ir::ValueId places = r.emit("Unsqueeze", {steps.positions, r.integers({1, 3})});
  ir::ValueId seen;
  if (p.causal != 0) {
    seen = r.emit("LessOrEqual", {keys, places});
  } else {
    const ir::ValueId end = r.emit("Add", {steps.start, steps.queries});
    seen = r.emit("Less", {keys, r.emit("Unsqueeze", {end, r.integers({1, 2, 3})})});
  }
  if (p.window > 0) {
    const ir::ValueId behind = r.emit("Sub", {places, keys});
    seen = r.emit("And", {seen, r.emit("Less", {behind, r.integer(p.window)})});
  }
  return seen;
}

// `value` in the dims of x, of four axes, but 1 along `axis`.
ir::ValueId slice_like(Rewriter& r, ir::ValueId x, std::int64_t axis, ir::ValueId value) {
  std::vector<std::int64_t> keep(4, 1), add(4, 0);
  keep[static_cast<std::size_t>(axis)] = 0, add[static_cast<std::size_t>(axis)] = 1;
  const ir::ValueId kept = r.emit("Mul", {r.emit("Shape", {x}), r.integers(keep)});
  return r.emit("Expand", {value, r.emit("Add", {kept, r.integers(add)})});
}

ir::ValueId followed_by(Rewriter& r, ir::ValueId x, std::int64_t axis, ir::ValueId value) {
  return r.emit("Concat", {x, slice_like(r, x, axis, value)}, {{"axis", axis}});
}

ir::ValueId yes(Rewriter& r) {
  return r.constant(ir::make_dense("", ir::DType::kBool, {}, {std::byte{1}}));
}

// A sink is one more key: all keys get one more element, of 0, and this one, seen by all and with
// values of 0, has nothing else, 1. What the queries get there makes their product the sink.
Status add_sinks(Rewriter& r, AttentionParts& p) {
  const auto width = known_dim(r, r.input(kPastKey), 1);
  if (p.scale == 0.0f && !width) return r.refuse("the size of its heads can't be told");
  if (p.scale == 0.0f) p.scale = 1.0f / std::sqrt(static_cast<float>(*width));
  const ir::ValueId none = r.real(0.0f);
  ir::ValueId logits = none;
  if (r.has(kSinks)) {
    const ir::ValueId unscaled = r.emit("Div", {r.input(kSinks), r.real(p.scale)});
    logits = r.emit("Reshape", {unscaled, r.integers({1, p.heads, 1, 1})});
  }
  const ir::ValueId element = followed_by(r, slice_like(r, p.k, 3, none), 2, r.real(1.0f));
  p.q = followed_by(r, p.q, 3, logits);
  p.k = r.emit("Concat", {followed_by(r, p.k, 2, none), element}, {{"axis", std::int64_t{3}}});
  p.v = followed_by(r, p.v, 2, none);
  return ok();
}

// Attention over a cache that the caller holds.
Status attend_cache(Rewriter& r, const Steps& steps, AttentionParts p) {
  if (!r.has(kLastPositions) || !r.has(kTotalLength)) return r.refuse("it lacks its lengths");
  const ir::ValueId length = cache_length(r);
  p.q = heads_first(r, p.q, p.heads);
  p.k = present(r, p.past_key, heads_first(r, p.k, p.kv_heads), length, steps);
  p.v = present(r, p.past_value, heads_first(r, p.v, p.kv_heads), length, steps);
  p.past_key = p.past_value = {};
  const ir::ValueId keys = p.k, values = p.v, seen = seen_keys(r, length, steps, p);
  const ir::ValueId never = r.real(-std::numeric_limits<float>::infinity());
  const ir::ValueId always = p.mask.valid() ? r.real(0.0f) : yes(r);
  p.mask = p.mask.valid() ? r.emit("Where", {seen, p.mask, never}) : seen;
  p.causal = p.window = 0;
  if (has_sinks(r)) {
    THIMBLE_TRY(add_sinks(r, p));
    p.mask = followed_by(r, p.mask, 3, always);
  }
  const ir::ValueId swapped =
      r.emit("Transpose", {attend(r, p)[0]}, {{"perm", std::vector<std::int64_t>{0, 2, 1, 3}}});
  r.replace({r.emit("Reshape", {swapped, r.integers({0, 0, -1})}), keys, values});
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
  if (!r.has(kLastPositions)) return r.refuse("it lacks the last positions of its sequences");
  const Steps steps = steps_of(r);
  if (r.node().integer("do_rotary", 0) != 0) THIMBLE_TRY(rotate_group_query(r, steps, p));
  if (p.past_key.valid()) return attend_cache(r, steps, p);
  p.presents = r.is_used(1) || r.is_used(2);
  r.replace(attend(r, p));
  return ok();
}

constexpr std::array kGroupQuery = {Adapter{"GroupQueryAttention", 0, group_query}};

}  // namespace

std::span<const Adapter> group_query_contribs() { return kGroupQuery; }

}  // namespace thimble::formats::onnx

// What networks are made of beside products: norms, rotary positions, attention with its caches.

#include <algorithm>
#include <cmath>

#include "lower/lowering.h"

namespace thimble::lower {
namespace {

// Elements from `axis` on: the row that a norm runs over.
Expected<std::int64_t> normalized_width(const Lowering& lowering, const ir::Node& node) {
  const ir::Shape* shape = lowering.shape(node.inputs[0]);
  if (shape == nullptr)
    return unsupported("the shape of a norm's input is unknown").at_tensor(node.name);
  const auto rank = static_cast<std::int64_t>(shape->size());
  std::int64_t axis = node.integer("axis", -1);
  if (axis < 0) axis += rank;
  ir::Dim width = 1;
  for (std::int64_t i = axis; i < rank; ++i) width = width * (*shape)[static_cast<std::size_t>(i)];
  if (!width.constant())
    return unsupported("norms are supported over axes of known length").at_tensor(node.name);
  return *width.constant();
}

Status lower_norm(Lowering& lowering, ir::NodeId id, const ir::Node& node) {
  const Expected<std::int64_t> known = normalized_width(lowering, node);
  if (!known || node.outputs.size() > 1) return lower_direct(lowering, id, node);
  const std::int64_t width = *known;
  const auto op = node.op == "RMSNormalization" ? program::Op::kRmsNorm : program::Op::kLayerNorm;
  return lowering.emit_plain(
      op, node, {floats("epsilon", {node.real("epsilon", 1e-5f)}), ints("width", {width})});
}

// The norm that reads `sum` and needs nothing but constants beside it.
std::optional<ir::NodeId> norm_of(const Lowering& lowering, ir::ValueId sum) {
  for (const ir::NodeId user : lowering.graph().users(sum)) {
    const ir::Node& node = lowering.graph().node(user);
    const bool norm = node.is("LayerNormalization") || node.is("RMSNormalization");
    if (!norm || lowering.is_done(user) || !lowering.needed(user)) continue;
    const bool alone = node.inputs[0] == sum && node.outputs.size() == 1 &&
                       std::all_of(node.inputs.begin() + 1, node.inputs.end(),
                                   [&](ir::ValueId v) { return lowering.is_constant(v); });
    if (alone && lowering.is_f32(node.outputs[0]) && normalized_width(lowering, node)) return user;
  }
  return std::nullopt;
}

// Angles for each position, heads side by side: the planned form. Anything else is looked up as the
// model runs.
Status lower_rotary(Lowering& lowering, ir::NodeId id, const ir::Node& node) {
  const ir::Shape* shape = lowering.shape(node.inputs[0]);
  const bool looked_up = node.inputs.size() > 3 && node.inputs[3].valid();
  if (looked_up || shape == nullptr || shape->size() != 3) return lower_direct(lowering, id, node);
  return lowering.emit_plain(program::Op::kRotary, node,
                             {ints("heads", {node.integer("num_heads", 0)}),
                              ints("rotary", {node.integer("rotary_embedding_dim", 0)}),
                              ints("interleaved", {node.integer("interleaved", 0)})});
}

// Pairs the cache's input and output slots, so that the runtime appends in place.
Status add_cache(Lowering& lowering, const ir::Node& node, std::size_t input, std::size_t output,
                 std::int64_t window) {
  const ir::Shape* shape = lowering.shape(node.inputs[input]);
  if (shape == nullptr || shape->size() != 4 || !(*shape)[1].constant() ||
      !(*shape)[3].constant()) {
    return unsupported("a cache is [batch, heads, past, dim] with heads and dim known")
        .at_tensor(node.name);
  }
  THIMBLE_ASSIGN(const std::int32_t in, lowering.slot(node.inputs[input]));
  THIMBLE_ASSIGN(const std::int32_t out, lowering.slot(node.outputs[output]));
  lowering.program().states.push_back({program::State::Kind::kCache, in, out, 2,
                                       *(*shape)[1].constant(), *(*shape)[3].constant(), window});
  return ok();
}

bool is_state_input(const Lowering& lowering, ir::ValueId value) {
  for (const ir::State& state : lowering.model().states) {
    if (lowering.graph().value(value).name == state.input) return true;
  }
  return false;
}

// No mask, or one bool a key.
bool is_key_mask(const Lowering& lowering, const ir::Node& node) {
  if (node.inputs.size() < 4 || !node.inputs[3].valid()) return true;
  const ir::Shape* shape = lowering.shape(node.inputs[3]);
  const ir::Shape *queries = lowering.shape(node.inputs[0]), *keys = lowering.shape(node.inputs[1]);
  return lowering.graph().value(node.inputs[3]).dtype == ir::DType::kBool && shape != nullptr &&
         keys != nullptr && shape->size() == 4 && (*shape)[0] == (*queries)[0] &&
         (*shape)[1] == ir::Dim(1) && (*shape)[2] == ir::Dim(1) && (*shape)[3] == (*keys)[1];
}

// What the planned instruction does: [batch, seq, heads * dim] of f32, no more results than a cache
// takes.
bool is_planned_attention(const Lowering& lowering, const ir::Node& node, bool cached) {
  const ir::Shape* query = lowering.shape(node.inputs[0]);
  const bool padded = node.inputs.size() > 6 && node.inputs[6].valid();
  const std::size_t results = cached ? 3 : 1;
  const bool windows =
      node.integer("left_window_size", -1) >= 0 || node.integer("right_window_size", -1) >= 0;
  return query != nullptr && query->size() == 3 && query->back().constant() &&
         node.integer("q_num_heads", 0) > 0 && node.integer("kv_num_heads", 0) > 0 && !padded &&
         !windows && node.outputs.size() <= results && is_key_mask(lowering, node) &&
         lowering.shape(node.inputs[1]) != nullptr && lowering.shape(node.inputs[2]) != nullptr &&
         lowering.graph().value(node.inputs[0]).dtype == ir::DType::kF32;
}

// Attributes go over under their own names; domain `thimble` adds `window`.
Status lower_whole_attention(Lowering& lowering, const ir::Node& node) {
  std::vector<program::Attribute> attributes;
  for (const ir::Attribute& attribute : node.attributes) {
    if (const auto* integer = std::get_if<std::int64_t>(&attribute.value))
      attributes.push_back(ints(attribute.name, {*integer}));
    if (const auto* real = std::get_if<float>(&attribute.value))
      attributes.push_back(floats(attribute.name, {*real}));
  }
  return lowering.emit_plain(program::Op::kAttentionOf, node, std::move(attributes));
}

Status lower_attention(Lowering& lowering, ir::NodeId, const ir::Node& node) {
  const bool past = node.inputs.size() > 5 && node.inputs[4].valid();
  const bool cached =
      past && is_state_input(lowering, node.inputs[4]) && is_state_input(lowering, node.inputs[5]);
  if (!is_planned_attention(lowering, node, cached) || past != cached) {
    if (cached) {
      return unsupported(
                 "attention with a cache that is a state of the model is supported on [batch, seq, "
                 "heads * dim], with head counts and without other options")
          .at_tensor(node.name);
    }
    return lower_whole_attention(lowering, node);
  }
  const std::int64_t q_heads = node.integer("q_num_heads", 0);
  const std::int64_t kv_heads = node.integer("kv_num_heads", 0);
  const std::int64_t dim = *lowering.shape(node.inputs[0])->back().constant() / q_heads;
  const std::int64_t window = node.integer("window", 0);
  if (cached) {
    THIMBLE_TRY(add_cache(lowering, node, 4, 1, window));
    THIMBLE_TRY(add_cache(lowering, node, 5, 2, window));
  }
  return lowering.emit_plain(
      program::Op::kAttention, node,
      {ints("q_heads", {q_heads}), ints("kv_heads", {kv_heads}),
       ints("causal", {node.integer("is_causal", 0)}), ints("window", {window}),
       floats("scale", {node.real("scale", 1.0f / std::sqrt(static_cast<float>(dim)))}),
       floats("softcap", {node.real("softcap", 0.0f)})});
}

}  // namespace

Expected<bool> lower_sum_and_norm(Lowering& lowering, const ir::Node& sum) {
  const auto id = norm_of(lowering, sum.outputs[0]);
  if (!id || lowering.reads_rounded(*id, sum.outputs[0])) return false;
  const ir::Node& norm = lowering.graph().node(*id);
  const bool rms = norm.is("RMSNormalization");
  THIMBLE_ASSIGN(const std::int64_t width, normalized_width(lowering, norm));
  THIMBLE_ASSIGN(const std::int32_t x, lowering.slot(sum.inputs[0]));
  THIMBLE_ASSIGN(const std::int32_t addend, lowering.slot(sum.inputs[1]));
  std::vector<std::int32_t> inputs = {x};
  for (std::size_t i = 1; i < (rms ? 2u : 3u); ++i) {
    const ir::ValueId constant = i < norm.inputs.size() ? norm.inputs[i] : ir::ValueId();
    THIMBLE_ASSIGN(const std::int32_t slot, lowering.slot(constant));
    inputs.push_back(slot);
  }
  inputs.push_back(addend);
  THIMBLE_ASSIGN(const std::int32_t y, lowering.slot(norm.outputs[0]));
  std::vector<std::int32_t> outputs = {y};
  if (!lowering.only_user(sum.outputs[0])) {
    THIMBLE_ASSIGN(const std::int32_t kept, lowering.slot(sum.outputs[0]));
    outputs.push_back(kept);
  }
  lowering.mark_done(*id);
  lowering
      .emit(rms ? program::Op::kRmsNorm : program::Op::kLayerNorm, norm, std::move(inputs),
            std::move(outputs))
      .attributes = {floats("epsilon", {norm.real("epsilon", 1e-5f)}), ints("width", {width})};
  return true;
}

Handler network_handler(std::string_view op, std::string_view domain) {
  if (op == "Attention" && (domain.empty() || domain == "thimble")) return lower_attention;
  if (!domain.empty()) return nullptr;
  if (op == "RMSNormalization" || op == "LayerNormalization") return lower_norm;
  if (op == "RotaryEmbedding") return lower_rotary;
  return nullptr;
}

}  // namespace thimble::lower

// What networks are made of beside products: norms, rotary positions, attention with its caches.

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

Status lower_norm(Lowering& lowering, ir::NodeId, const ir::Node& node) {
  THIMBLE_ASSIGN(const std::int64_t width, normalized_width(lowering, node));
  const auto op = node.op == "RMSNormalization" ? program::Op::kRmsNorm : program::Op::kLayerNorm;
  return lowering.emit_plain(
      op, node, {floats("epsilon", {node.real("epsilon", 1e-5f)}), ints("width", {width})});
}

Status lower_rotary(Lowering& lowering, ir::NodeId, const ir::Node& node) {
  if (node.inputs.size() > 3 && node.inputs[3].valid()) {
    return unsupported(
               "RotaryEmbedding is supported with cos and sin per position (no position_ids)")
        .at_tensor(node.name);
  }
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

Status lower_attention(Lowering& lowering, ir::NodeId, const ir::Node& node) {
  const ir::Shape* query = lowering.shape(node.inputs[0]);
  const std::int64_t q_heads = node.integer("q_num_heads", 0);
  const std::int64_t kv_heads = node.integer("kv_num_heads", 0);
  if (query == nullptr || query->size() != 3 || q_heads == 0 || kv_heads == 0 ||
      !query->back().constant()) {
    return unsupported("Attention is supported on [batch, seq, heads * dim] with head counts given")
        .at_tensor(node.name);
  }
  const std::int64_t dim = *query->back().constant() / q_heads;
  const std::int64_t window = node.integer("window", 0);
  const bool cached = node.inputs.size() > 5 && node.inputs[4].valid();
  if (cached) {
    if (!is_state_input(lowering, node.inputs[4]) || !is_state_input(lowering, node.inputs[5])) {
      return unsupported("Attention is supported with caches that are states of the model")
          .at_tensor(node.name);
    }
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

Handler network_handler(std::string_view op, std::string_view domain) {
  if (op == "Attention" && (domain.empty() || domain == "thimble")) return lower_attention;
  if (!domain.empty()) return nullptr;
  if (op == "RMSNormalization" || op == "LayerNormalization") return lower_norm;
  if (op == "RotaryEmbedding") return lower_rotary;
  return nullptr;
}

}  // namespace thimble::lower

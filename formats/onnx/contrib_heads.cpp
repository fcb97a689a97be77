#include "formats/onnx/contrib_heads.h"

namespace thimble::formats::onnx {

std::optional<std::int64_t> known_dim(const Rewriter& r, ir::ValueId id, std::int64_t from_end) {
  if (!id.valid()) return std::nullopt;
  const auto& shape = r.graph().value(id).shape;
  if (!shape || from_end > static_cast<std::int64_t>(shape->size())) return std::nullopt;
  return (*shape)[shape->size() - static_cast<std::size_t>(from_end)].constant();
}

ir::ValueId dim_of(Rewriter& r, ir::ValueId value, std::int64_t axis) {
  const ir::ValueId dim = r.emit("Shape", {value}, {{"end", axis + 1}, {"start", axis}});
  return r.emit("Squeeze", {dim, r.integers({0})});
}

ir::ValueId rotate(Rewriter& r, ir::ValueId x, const Rotary& rotary, std::int64_t heads) {
  return r.emit("RotaryEmbedding", {x, rotary.cosine, rotary.sine},
                {{"interleaved", rotary.interleaved},
                 {"num_heads", heads},
                 {"rotary_embedding_dim", rotary.width}});
}

ir::ValueId heads_last(Rewriter& r, ir::ValueId x) {
  if (r.rank_of(x) != 4) return x;
  const ir::ValueId swapped =
      r.emit("Transpose", {x}, {{"perm", std::vector<std::int64_t>{0, 2, 1, 3}}});
  return r.emit("Reshape", {swapped, r.integers({0, 0, -1})});
}

ir::ValueId heads_first(Rewriter& r, ir::ValueId x, std::int64_t heads) {
  const ir::ValueId apart = r.emit("Reshape", {x, r.integers({0, 0, heads, -1})});
  return r.emit("Transpose", {apart}, {{"perm", std::vector<std::int64_t>{0, 2, 1, 3}}});
}

std::vector<ir::ValueId> attend(Rewriter& r, const AttentionParts& p) {
  Attributes attributes = {
      {"is_causal", p.causal}, {"kv_num_heads", p.kv_heads}, {"q_num_heads", p.heads}};
  if (p.scale != 0.0f) attributes.push_back({"scale", p.scale});
  if (p.softcap != 0.0f) attributes.push_back({"softcap", p.softcap});
  if (p.window > 0) attributes.push_back({"window", p.window});
  auto results = r.emit_many("Attention", {p.q, p.k, p.v, p.mask, p.past_key, p.past_value},
                             std::move(attributes), p.presents ? 3 : 1);
  if (p.window > 0) {
    r.graph().edit(r.graph().value(results[0]).producer,
                   [](ir::Node& node) { node.domain = "thimble"; });
  }
  return results;
}

}  // namespace thimble::formats::onnx

#pragma once
// What the operators of attention have in common: heads, positions, the standard operator itself.

#include <cstdint>
#include <optional>

#include "formats/onnx/rewriter.h"

namespace thimble::formats::onnx {

// A dim counted from the end, 1 the last, where the file says a number.
std::optional<std::int64_t> known_dim(const Rewriter& r, ir::ValueId id, std::int64_t from_end);

ir::ValueId dim_of(Rewriter& r, ir::ValueId value, std::int64_t axis);  // as a scalar

struct Rotary {
  ir::ValueId cosine, sine;  // per position: [batch, seq, half]
  std::int64_t interleaved = 0;
  std::int64_t width = 0;  // of a head's rotated part; 0: all of it
};

ir::ValueId rotate(Rewriter& r, ir::ValueId x, const Rotary& rotary, std::int64_t heads);

// [batch, heads, seq, size] as [batch, seq, heads * size], and back.
ir::ValueId heads_last(Rewriter& r, ir::ValueId x);
ir::ValueId heads_first(Rewriter& r, ir::ValueId x, std::int64_t heads);

struct AttentionParts {
  ir::ValueId q, k, v, mask, past_key, past_value;
  std::int64_t heads = 0, kv_heads = 0, causal = 0;
  std::int64_t window = 0;  // keys that a query sees, itself among them; 0: all
  float scale = 0.0f;       // 0: 1 / sqrt(head size)
  float softcap = 0.0f;
  bool presents = false;  // are the present keys and values read?
};

// Attention over the parts: y, and where they are read the present keys and values.
std::vector<ir::ValueId> attend(Rewriter& r, const AttentionParts& parts);

}  // namespace thimble::formats::onnx

// Attention over plain tensors, in all that the standard has: three or four axes, groups of
// queries that share keys, masks of bools or floats, past keys, padding, windows, and the products
// of queries and keys as a result. One row of scores at a time.

#include <algorithm>
#include <cmath>
#include <limits>

#include "runtime/ops/selection.h"
#include "support/checked.h"

namespace thimble::runtime {
namespace {

using program::Op;
using program::Type;

constexpr float kNever = -std::numeric_limits<float>::infinity();

// One of queries, keys or values: [batch, heads, length, width] whichever way it lies.
struct Sheets {
  const float* data = nullptr;
  std::int64_t batch = 0, heads = 0, length = 0, width = 0;
  bool heads_first = false;

  const float* row(std::int64_t b, std::int64_t h, std::int64_t s) const {
    return data +
           (heads_first ? (b * heads + h) * length + s : (b * length + s) * heads + h) * width;
  }
};

Expected<Sheets> sheets_of(const Value& x, std::int64_t heads) {
  THIMBLE_TRY(demand(x.type == Type::kF32, "attention takes f32"));
  if (x.dims.size() == 4)
    return Sheets{x.floats(), x.dims[0], x.dims[1], x.dims[2], x.dims[3], true};
  if (x.dims.size() != 3 || heads < 1 || x.dims[2] % heads != 0)
    return invalid_argument("attention needs head counts that divide its three axes' last");
  return Sheets{x.floats(), x.dims[0], heads, x.dims[1], x.dims[2] / heads, false};
}

struct Setting {
  Sheets q, k, v;
  Sheets past_k, past_v;  // of length 0 where there is none
  const Value* mask = nullptr;
  Dims mask_strides;               // over [batch, heads, queries], 0 where it is broadcast
  const Value* padding = nullptr;  // keys that count, by sequence
  float scale = 1, softcap = 0;
  bool causal = false;
  std::int64_t left = -1, right = -1, mode = 0;

  std::int64_t keys() const { return past_k.length + k.length; }
  const float* key(std::int64_t b, std::int64_t h, std::int64_t s) const {
    return s < past_k.length ? past_k.row(b, h, s) : k.row(b, h, s - past_k.length);
  }
  const float* value(std::int64_t b, std::int64_t h, std::int64_t s) const {
    return s < past_v.length ? past_v.row(b, h, s) : v.row(b, h, s - past_v.length);
  }
};

// A mask of up to four axes, broadcast; its last may be shorter than the keys.
Status read_mask(const Value& mask, Setting& s) {
  const std::size_t rank = mask.dims.size();
  THIMBLE_TRY(demand((mask.type == Type::kBool || mask.type == Type::kF32) && rank >= 1 &&
                         rank <= 4 && mask.dims.back() <= s.keys(),
                     "attention's mask doesn't fit"));
  const Dims own = strides_of(mask.dims), wanted = {s.q.batch, s.q.heads, s.q.length};
  s.mask = &mask;
  s.mask_strides.assign(3, 0);
  for (std::size_t d = 0; d + 1 < rank; ++d) {
    const std::size_t at = 4 - rank + d;
    THIMBLE_TRY(
        demand(mask.dims[d] == 1 || mask.dims[d] == wanted[at], "attention's mask doesn't fit"));
    s.mask_strides[at] = mask.dims[d] == 1 ? 0 : own[d];
  }
  return ok();
}

Status read_past(const Call& call, Setting& s) {
  const Value *keys = input_at(call, 4), *values = input_at(call, 5);
  THIMBLE_TRY(demand((keys == nullptr) == (values == nullptr),
                     "attention takes past keys and values together"));
  if (keys == nullptr) return ok();
  THIMBLE_TRY(demand(keys->dims.size() == 4 && values->dims.size() == 4,
                     "past keys and values have four axes"));
  THIMBLE_ASSIGN(s.past_k, sheets_of(*keys, 0));
  THIMBLE_ASSIGN(s.past_v, sheets_of(*values, 0));
  const bool right = s.past_k.batch == s.k.batch && s.past_k.heads == s.k.heads &&
                     s.past_k.width == s.k.width && s.past_v.batch == s.v.batch &&
                     s.past_v.heads == s.v.heads && s.past_v.width == s.v.width &&
                     s.past_k.length == s.past_v.length;
  return demand(right, "past keys and values don't fit the new ones");
}

Status read_attributes(const Call& call, Setting& s) {
  const program::Instruction& i = call.instruction;
  s.scale = i.real("scale", 1.0f / std::sqrt(static_cast<float>(s.q.width)));
  s.softcap = i.real("softcap", 0.0f);
  s.causal = i.integer("is_causal", 0) != 0;
  s.left = i.integer("left_window_size", -1);
  s.right = i.integer("right_window_size", -1);
  // A window of w positions (domain thimble): key > query - w.
  if (const std::int64_t window = i.integer("window", 0); window > 0) s.left = window - 1;
  s.mode = i.integer("qk_matmul_output_mode", 0);
  return demand(s.left >= -1 && s.right >= -1 && s.mode >= 0 && s.mode <= 3,
                "attention's window or mode is out of range");
}

Expected<Setting> setting_of(const Call& call) {
  Setting s;
  const std::int64_t q_heads = call.instruction.integer("q_num_heads", 0),
                     kv_heads = call.instruction.integer("kv_num_heads", 0);
  THIMBLE_ASSIGN(s.q, sheets_of(*call.inputs[0], q_heads));
  THIMBLE_ASSIGN(s.k, sheets_of(*call.inputs[1], kv_heads));
  THIMBLE_ASSIGN(s.v, sheets_of(*call.inputs[2], kv_heads));
  const bool right = s.q.batch == s.k.batch && s.k.batch == s.v.batch && s.q.width == s.k.width &&
                     s.k.length == s.v.length && s.k.heads == s.v.heads && s.k.heads > 0 &&
                     s.q.heads % s.k.heads == 0;
  THIMBLE_TRY(demand(right, "attention's queries, keys and values don't fit"));
  THIMBLE_TRY(read_past(call, s));
  THIMBLE_TRY(read_attributes(call, s));
  if (const Value* mask = input_at(call, 3)) THIMBLE_TRY(read_mask(*mask, s));
  s.padding = input_at(call, 6);
  THIMBLE_TRY(demand(
      s.padding == nullptr || (s.padding->type == Type::kI64 && s.padding->dims == Dims{s.q.batch}),
      "attention takes one number of keys a sequence"));
  return s;
}

Status shape_attention(const Call& call, std::vector<Dims>& results) {
  THIMBLE_ASSIGN(const Setting s, setting_of(call));
  for (const Value* output : call.outputs)
    THIMBLE_TRY(demand(output == nullptr || output->type == Type::kF32, "attention gives f32"));
  results[0] = call.inputs[0]->dims.size() == 4
                   ? Dims{s.q.batch, s.q.heads, s.q.length, s.v.width}
                   : Dims{s.q.batch, s.q.length, s.q.heads * s.v.width};
  const Dims more[] = {{s.k.batch, s.k.heads, s.keys(), s.k.width},
                       {s.v.batch, s.v.heads, s.keys(), s.v.width},
                       {s.q.batch, s.q.heads, s.q.length, s.keys()}};
  for (std::size_t i = 1; i < results.size(); ++i) results[i] = more[i - 1];
  return ok();
}

// A fixed number of lanes, folded in a fixed order.
float dot(const float* a, const float* b, std::int64_t count) {
  constexpr std::int64_t kLanes = 16;
  float lanes[kLanes] = {};
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (std::int64_t l = 0; l < kLanes; ++l) lanes[l] += a[i + l] * b[i + l];
  }
  for (; i < count; ++i) lanes[i % kLanes] += a[i] * b[i];
  for (std::int64_t half = kLanes / 2; half > 0; half /= 2) {
    for (std::int64_t l = 0; l < half; ++l) lanes[l] += lanes[l + half];
  }
  return lanes[0];
}

// What is added to a row of scores; false when no key may be seen.
bool bias_row(const Setting& s, std::int64_t b, std::int64_t h, std::int64_t i, float* bias) {
  const std::int64_t keys = s.keys();
  std::fill_n(bias, keys, 0.0f);
  if (s.mask != nullptr) {
    const std::int64_t from = b * s.mask_strides[0] + h * s.mask_strides[1] + i * s.mask_strides[2];
    const std::int64_t known = s.mask->dims.back();
    for (std::int64_t j = 0; j < known; ++j) {
      bias[j] = s.mask->type == Type::kF32                      ? s.mask->floats()[from + j]
                : data_of<std::uint8_t>(*s.mask)[from + j] != 0 ? 0.0f
                                                                : kNever;
    }
    std::fill(bias + known, bias + keys, kNever);
  }
  const std::int64_t counted =
      s.padding != nullptr ? std::clamp<std::int64_t>(data_of<std::int64_t>(*s.padding)[b], 0, keys)
                           : keys;
  // Where the query stands among the keys.
  const std::int64_t position =
      i + (s.padding != nullptr && s.past_k.length == 0 ? counted - s.q.length : s.past_k.length);
  bool any = false;
  for (std::int64_t j = 0; j < keys; ++j) {
    if (j >= counted || (s.causal && j > position) || (s.left >= 0 && position - j > s.left) ||
        (s.right >= 0 && j - position > s.right)) {
      bias[j] = kNever;
    }
    any = any || bias[j] != kNever;
  }
  return any;
}

// One query of one head. `scores` and `bias` have a place for each key.
void attend(Call& call, const Setting& s, std::int64_t row, float* scores, float* bias) {
  const std::int64_t keys = s.keys();
  const std::int64_t i = row % s.q.length, h = row / s.q.length % s.q.heads,
                     b = row / s.q.length / s.q.heads;
  const std::int64_t g = h / (s.q.heads / s.k.heads);
  Value* products = output_at(call, 3);
  float* shown = products != nullptr ? products->floats() + row * keys : nullptr;
  const auto show = [&](std::int64_t mode) {
    if (shown != nullptr && s.mode == mode) std::copy_n(scores, keys, shown);
  };
  const float* q = s.q.row(b, h, i);
  for (std::int64_t j = 0; j < keys; ++j) scores[j] = dot(q, s.key(b, g, j), s.q.width) * s.scale;
  show(0);
  if (s.softcap > 0) {
    call.machine.rows.scale(scores, 1.0f / s.softcap, keys, scores);
    call.machine.rows.map(kernels::Function::kTanh, scores, keys, scores);
    call.machine.rows.scale(scores, s.softcap, keys, scores);
  }
  show(1);
  const bool any = bias_row(s, b, h, i, bias);
  for (std::int64_t j = 0; j < keys; ++j) scores[j] += bias[j];
  show(2);
  if (any) {
    call.machine.rows.softmax(scores, 1, keys, scores);
  } else {
    std::fill_n(scores, keys, 0.0f);
  }
  show(3);
  Sheets y{call.outputs[0]->floats(),       s.q.batch, s.q.heads, s.q.length, s.v.width,
           call.inputs[0]->dims.size() == 4};
  auto* out = const_cast<float*>(y.row(b, h, i));
  std::fill_n(out, s.v.width, 0.0f);
  for (std::int64_t j = 0; j < keys; ++j) {
    if (scores[j] == 0) continue;
    const float* v = s.value(b, g, j);
    for (std::int64_t d = 0; d < s.v.width; ++d) out[d] += scores[j] * v[d];
  }
}

// The past and the new rows, one behind the other.
void join(const Sheets& past, const Sheets& now, Value* out) {
  if (out == nullptr) return;
  float* to = out->floats();
  for (std::int64_t b = 0; b < now.batch; ++b) {
    for (std::int64_t h = 0; h < now.heads; ++h) {
      for (std::int64_t t = 0; t < past.length; ++t, to += now.width)
        std::copy_n(past.row(b, h, t), now.width, to);
      for (std::int64_t t = 0; t < now.length; ++t, to += now.width)
        std::copy_n(now.row(b, h, t), now.width, to);
    }
  }
}

std::size_t part_bytes(const Call& call) {
  const auto setting = setting_of(call);
  const std::int64_t keys = setting ? setting->keys() : 0;
  return round_up<std::size_t>(static_cast<std::size_t>(keys) * 2 * sizeof(float) + 64, 64);
}

std::size_t attention_scratch(const Call& call) {
  return part_bytes(call) * static_cast<std::size_t>(call.machine.pool.threads());
}

Status run_attention(Call& call) {
  THIMBLE_ASSIGN(const Setting s, setting_of(call));
  join(s.past_k, s.k, output_at(call, 1));
  join(s.past_v, s.v, output_at(call, 2));
  const std::size_t bytes = part_bytes(call);
  ScratchParts scratch(call.scratch, call.machine.pool.threads(), bytes);
  const std::int64_t cost = s.keys() * (s.q.width + s.v.width) * 2;
  over_rows(call.machine, scratch, s.q.batch * s.q.heads * s.q.length, cost,
            [&](std::int64_t begin, std::int64_t end, std::byte* part) {
              auto* scores = reinterpret_cast<float*>(part);
              for (std::int64_t row = begin; row < end; ++row)
                attend(call, s, row, scores, scores + s.keys());
            });
  return ok();
}

}  // namespace

std::span<const Operator> attending_operators() {
  static constexpr Operator kOperators[] = {
      {Op::kAttentionOf, run_attention, attention_scratch, shape_attention}};
  return kOperators;
}

}  // namespace thimble::runtime

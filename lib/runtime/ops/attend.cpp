// Attention over plain tensors, in all that the standard has: three or four axes, groups of
// queries that share keys, masks of bools or floats, past keys, padding, windows, and the products
// of queries and keys as a result. Some queries of a head at a time: their scores and results are
// products with its keys, turned, and its values.

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
  std::int64_t pitch() const { return heads_first ? width : heads * width; }  // from row to row
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

// Queries that go through a head's keys together; fewer than kFew aren't worth turning keys for.
constexpr std::int64_t kQueries = 16, kFew = 4;

// What a thread needs, in floats: a head's keys turned, [width, keys], and scores and a bias for
// queries.
struct HeadMemory {
  float *turned, *scores, *bias;

  HeadMemory(const Setting& s, std::byte* memory)
      : turned(reinterpret_cast<float*>(memory)),
        scores(turned + s.keys() * s.q.width),
        bias(scores + kQueries * s.keys()) {}
  static std::size_t bytes(const Setting& s) {
    const std::int64_t floats = s.keys() * (s.q.width + kQueries + 1);
    return Memory::aligned(static_cast<std::size_t>(floats) * sizeof(float));
  }
};

// Attention of the queries to `keys` and `values`, which are all that there are.
class HeadAttention {
 public:
  HeadAttention(Call& call, const Setting& s, const Sheets& keys, const Sheets& values,
                const HeadMemory& memory)
      : call_(call),
        s_(s),
        keys_(keys),
        values_(values),
        memory_(memory),
        y_{call.outputs[0]->floats(),       s.q.batch, s.q.heads, s.q.length, s.v.width,
           call.inputs[0]->dims.size() == 4} {}

  // Queries [first, last) of head `h` of sequence `b`.
  void attend(std::int64_t b, std::int64_t h, std::int64_t first, std::int64_t last) const {
    const bool few = last - first < kFew;
    if (!few) turn(keys_.row(b, key_head(h), 0));
    for (std::int64_t i = first; i < last; i += few ? 1 : kQueries)
      some(b, h, i, few ? i + 1 : std::min(i + kQueries, last), few);
  }

 private:
  std::int64_t key_head(std::int64_t h) const { return h / (s_.q.heads / s_.k.heads); }

  void turn(const float* keys) const {
    const std::int64_t count = keys_.length, step = keys_.pitch();
    for (std::int64_t d = 0; d < keys_.width; ++d) {
      for (std::int64_t j = 0; j < count; ++j) memory_.turned[d * count + j] = keys[j * step + d];
    }
  }

  // `few`: one query, whose products with the keys as they lie have the same sums.
  void some(std::int64_t b, std::int64_t h, std::int64_t first, std::int64_t last, bool few) const {
    const std::int64_t keys = keys_.length, width = keys_.width, count = last - first;
    const kernels::LinearKernels& kernels = call_.machine.linear;
    const float* q = s_.q.row(b, h, first);
    if (few) {
      kernels.matmul(keys_.row(b, key_head(h), 0), keys_.pitch(), q, 1, memory_.scores, 1, 0, keys,
                     1, width);
    } else {
      kernels.matmul(q, s_.q.pitch(), memory_.turned, keys, memory_.scores, keys, 0, count, keys,
                     width);
    }
    for (std::int64_t i = 0; i < count; ++i) weigh(b, h, first + i, memory_.scores + i * keys);
    kernels.matmul(memory_.scores, keys, values_.row(b, key_head(h), 0), values_.pitch(),
                   const_cast<float*>(y_.row(b, h, first)), y_.pitch(), 0, count, values_.width,
                   keys);
  }

  // A query's products with the keys become the parts that their values have in the result.
  void weigh(std::int64_t b, std::int64_t h, std::int64_t i, float* scores) const {
    const std::int64_t keys = s_.keys();
    const kernels::RowKernels& kernels = call_.machine.rows;
    Value* products = output_at(call_, 3);
    const std::int64_t row = (b * s_.q.heads + h) * s_.q.length + i;
    float* shown = products != nullptr ? products->floats() + row * keys : nullptr;
    const auto show = [&](std::int64_t mode) {
      if (shown != nullptr && s_.mode == mode) std::copy_n(scores, keys, shown);
    };
    kernels.scale(scores, s_.scale, keys, scores);
    show(0);
    if (s_.softcap > 0) {
      kernels.scale(scores, 1.0f / s_.softcap, keys, scores);
      kernels.map(kernels::Function::kTanh, scores, keys, scores);
      kernels.scale(scores, s_.softcap, keys, scores);
    }
    show(1);
    const bool any = bias_row(s_, b, h, i, memory_.bias);
    for (std::int64_t j = 0; j < keys; ++j) scores[j] += memory_.bias[j];
    show(2);
    if (any) {
      kernels.softmax(scores, 1, keys, scores);
    } else {
      std::fill_n(scores, keys, 0.0f);
    }
    show(3);
  }

  Call& call_;
  const Setting& s_;
  Sheets keys_, values_;
  HeadMemory memory_;
  Sheets y_;
};

// The past and the new rows, one behind the other, in `out`, or in memory where they aren't asked
// for.
Sheets joined(const Sheets& past, const Sheets& now, Value* out, float*& memory) {
  if (out == nullptr && past.length == 0) return now;
  float* to = out != nullptr ? out->floats() : memory;
  const Sheets all{to, now.batch, now.heads, past.length + now.length, now.width, true};
  for (std::int64_t b = 0; b < now.batch; ++b) {
    for (std::int64_t h = 0; h < now.heads; ++h) {
      for (std::int64_t t = 0; t < past.length; ++t, to += now.width)
        std::copy_n(past.row(b, h, t), now.width, to);
      for (std::int64_t t = 0; t < now.length; ++t, to += now.width)
        std::copy_n(now.row(b, h, t), now.width, to);
    }
  }
  if (out == nullptr) memory = to;
  return all;
}

std::size_t joined_bytes(const Call& call, const Setting& s) {
  std::int64_t floats = 0;
  if (s.past_k.length > 0 && output_at(call, 1) == nullptr)
    floats += s.k.batch * s.k.heads * s.keys() * s.k.width;
  if (s.past_v.length > 0 && output_at(call, 2) == nullptr)
    floats += s.v.batch * s.v.heads * s.keys() * s.v.width;
  return Memory::aligned(static_cast<std::size_t>(floats) * sizeof(float));
}

std::size_t attention_scratch(const Call& call) {
  const auto s = setting_of(call);
  if (!s) return 0;  // run says why
  const auto threads = static_cast<std::size_t>(call.machine.pool.threads());
  return joined_bytes(call, *s) + threads * HeadMemory::bytes(*s);
}

Status run_attention(Call& call) {
  THIMBLE_ASSIGN(const Setting s, setting_of(call));
  auto* memory = reinterpret_cast<float*>(call.scratch.data());
  const Sheets keys = joined(s.past_k, s.k, output_at(call, 1), memory);
  const Sheets values = joined(s.past_v, s.v, output_at(call, 2), memory);
  ScratchParts scratch(call.scratch.subspan(joined_bytes(call, s)), call.machine.pool.threads(),
                       HeadMemory::bytes(s));
  const std::int64_t cost = s.keys() * (s.q.width + s.v.width) * 2;
  over_rows(call.machine, scratch, s.q.batch * s.q.heads * s.q.length, cost,
            [&](std::int64_t begin, std::int64_t end, std::byte* part) {
              const HeadAttention attention(call, s, keys, values, HeadMemory(s, part));
              each_part(begin, end, s.q.length,
                        [&](std::int64_t head, std::int64_t first, std::int64_t last) {
                          attention.attend(head / s.q.heads, head % s.q.heads, first, last);
                        });
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

// Norms, rotary positions, attention.

#include <algorithm>

#include "runtime/ops/ops.h"

namespace thimble::runtime {
namespace {

const float* floats_or_null(const Call& call, std::size_t input) {
  return call.inputs.size() > input && call.inputs[input] != nullptr ? call.inputs[input]->floats()
                                                                     : nullptr;
}

struct Attention {
  std::int64_t batch, tokens, keys, q_heads, kv_heads, dim, value_dim;
};

Attention attention_of(const Call& call) {
  const auto& i = call.instruction;
  Attention a;
  a.q_heads = i.integer("q_heads", 1);
  a.kv_heads = i.integer("kv_heads", 1);
  a.batch = call.inputs[0]->dims[0];
  a.tokens = call.inputs[0]->dims[1];
  a.keys = call.inputs[1]->dims[1];
  a.dim = call.inputs[0]->dims[2] / std::max<std::int64_t>(a.q_heads, 1);
  a.value_dim = call.inputs[2]->dims[2] / std::max<std::int64_t>(a.kv_heads, 1);
  return a;
}

kernels::AttentionCall attention_call(const Call& call, const Attention& a) {
  const auto& i = call.instruction;
  kernels::AttentionCall out;
  out.tokens = a.tokens;
  out.q_heads = a.q_heads;
  out.causal = i.integer("causal", 0) != 0;
  out.window = i.integer("window", 0);
  out.scale = i.real("scale", 1.0f);
  out.softcap = i.real("softcap", 0.0f);
  return out;
}

// Keys and values of a call without a cache are laid out like one, in scratch.
std::size_t plain_cache_bytes(const Attention& a) {
  return kernels::cache_bytes(kernels::CacheType::kF32, a.kv_heads, a.keys, a.dim) +
         kernels::cache_bytes(kernels::CacheType::kF32, a.kv_heads, a.keys, a.value_dim);
}

std::size_t per_thread_bytes(const Attention& a) {
  kernels::AttentionCall call;
  call.keys.dim = a.dim;
  call.values.dim = a.value_dim;
  return kernels::attention_scratch_bytes(call);
}

void attend(Call& call, const kernels::AttentionCall& attention, std::size_t scratch_offset,
            const Attention& a) {
  ScratchParts scratch(call.scratch.subspan(scratch_offset), call.machine.pool.threads(),
                       per_thread_bytes(a));
  const std::int64_t items = kernels::attention_items(attention);
  const std::int64_t cost = kernels::kQueryTile * attention.key_count * (a.dim + a.value_dim);
  over_rows(call.machine, scratch, items, cost,
            [&](std::int64_t begin, std::int64_t end, std::byte* memory) {
              call.machine.attention.attend(attention, begin, end, memory);
            });
}

Status attend_cached(Call& call, const Attention& a) {
  kernels::AttentionCall attention = attention_call(call, a);
  kernels::cache_store(call.keys->view, call.inputs[1]->floats(), a.tokens, call.past);
  kernels::cache_store(call.values->view, call.inputs[2]->floats(), a.tokens, call.past);
  attention.q = call.inputs[0]->floats();
  attention.y = call.outputs[0]->floats();
  attention.keys = call.keys->view;
  attention.values = call.values->view;
  attention.position = call.past;
  attention.key_count = call.past + a.tokens;
  attend(call, attention, 0, a);
  return ok();
}

Status attend_plain(Call& call, const Attention& a) {
  const Value* mask = call.inputs.size() > 3 ? call.inputs[3] : nullptr;
  if (mask != nullptr &&
      (mask->type != program::Type::kBool || mask->count() != a.batch * a.keys)) {
    return unsupported("attention masks are of bool, one per key");
  }
  for (std::int64_t b = 0; b < a.batch; ++b) {
    kernels::AttentionCall attention = attention_call(call, a);
    auto* memory = call.scratch.data();
    attention.keys =
        kernels::cache_over(memory, kernels::CacheType::kF32, a.kv_heads, a.keys, a.dim);
    memory += kernels::cache_bytes(kernels::CacheType::kF32, a.kv_heads, a.keys, a.dim);
    attention.values =
        kernels::cache_over(memory, kernels::CacheType::kF32, a.kv_heads, a.keys, a.value_dim);
    kernels::cache_store(attention.keys, call.inputs[1]->floats() + b * a.keys * a.kv_heads * a.dim,
                         a.keys, 0);
    kernels::cache_store(attention.values,
                         call.inputs[2]->floats() + b * a.keys * a.kv_heads * a.value_dim, a.keys,
                         0);
    attention.q = call.inputs[0]->floats() + b * a.tokens * a.q_heads * a.dim;
    attention.y = call.outputs[0]->floats() + b * a.tokens * a.q_heads * a.value_dim;
    attention.key_count = a.keys;
    if (mask != nullptr)
      attention.key_mask = static_cast<const std::uint8_t*>(mask->data) + b * a.keys;
    attend(call, attention, plain_cache_bytes(a), a);
  }
  return ok();
}

}  // namespace

Status check_attention(const Call& call) {
  for (int i = 0; i < 3; ++i) {
    if (call.inputs[static_cast<std::size_t>(i)]->dims.size() != 3 ||
        call.inputs[static_cast<std::size_t>(i)]->type != program::Type::kF32) {
      return invalid_file("attention takes f32 [batch, seq, heads * dim]");
    }
  }
  if (call.instruction.integer("q_heads", 1) < 1 || call.instruction.integer("kv_heads", 1) < 1)
    return invalid_file("attention has no heads");
  const Attention a = attention_of(call);
  const bool right = a.q_heads > 0 && a.kv_heads > 0 && a.q_heads % a.kv_heads == 0 && a.dim > 0 &&
                     a.value_dim > 0 && call.inputs[0]->dims[2] == a.dim * a.q_heads &&
                     call.inputs[1]->dims[2] == a.dim * a.kv_heads &&
                     call.inputs[2]->dims[2] == a.value_dim * a.kv_heads &&
                     call.inputs[2]->dims[1] == a.keys && call.inputs[1]->dims[0] == a.batch &&
                     call.inputs[2]->dims[0] == a.batch &&
                     call.outputs[0]->type == program::Type::kF32 &&
                     call.outputs[0]->count() == a.batch * a.tokens * a.q_heads * a.value_dim;
  if (!right) return invalid_file("attention's shapes don't fit");
  if (call.instruction.integer("window", 0) < 0)
    return invalid_file("a window has no negative size");
  if (call.keys == nullptr) return ok();
  const auto& k = call.keys->view;
  const auto& v = call.values->view;
  if (k.heads != a.kv_heads || k.dim != a.dim || v.heads != a.kv_heads || v.dim != a.value_dim)
    return invalid_file("a cache doesn't fit its attention");
  if (a.batch != 1) return unsupported("a cache holds one sequence");
  const bool grows = call.outputs.size() > 2 && call.outputs[1] != nullptr &&
                     call.outputs[2] != nullptr && call.outputs[1]->dims.size() == 4 &&
                     call.outputs[1]->dims[2] == call.past + a.tokens &&
                     call.outputs[2]->dims == call.outputs[1]->dims;
  if (!grows) return invalid_file("a cache doesn't grow by its tokens");
  // A ring keeps the window before the first of the tokens.
  const std::int64_t window = call.instruction.integer("window", 0);
  const bool fits = call.past + a.tokens <= k.capacity || a.tokens <= k.capacity - window;
  if (!fits || k.capacity != v.capacity)
    return invalid_argument("more tokens at once than the caches have room for");
  return ok();
}

namespace {

Status shape_norm(const Call& call, std::vector<Dims>& results) {
  for (Dims& dims : results) dims = call.inputs[0]->dims;
  return ok();
}

// Calls normalize(x, rows, y) for all rows; with an addend, for each row as soon as it is added: to
// where the sum is a result, or to y.
template <class F>
void over_norm_rows(Call& call, std::size_t addend_at, F normalize) {
  const std::int64_t width = call.instruction.integer("width", 0);
  const float *x = call.inputs[0]->floats(), *addend = floats_or_null(call, addend_at);
  float* y = call.outputs[0]->floats();
  const bool kept = call.outputs.size() > 1 && call.outputs[1] != nullptr;
  float* sums = kept ? call.outputs[1]->floats() : y;
  over_rows(call.machine, call.inputs[0]->count() / width, width,
            [&](std::int64_t begin, std::int64_t end) {
              const std::int64_t first = begin * width;
              const std::int64_t last = end * width;
              if (addend == nullptr) return normalize(x + first, (last - first) / width, y + first);
              for (std::int64_t at = first; at < last; at += width) {
                call.machine.rows.pair(kernels::Pair::kAdd, x + at, addend + at, width, sums + at);
                normalize(sums + at, std::int64_t{1}, y + at);
              }
            });
}

Status run_rms_norm(Call& call) {
  const std::int64_t width = call.instruction.integer("width", 0);
  const float epsilon = call.instruction.real("epsilon", 1e-5f);
  over_norm_rows(call, 2, [&](const float* x, std::int64_t rows, float* y) {
    call.machine.rows.rms_norm(x, floats_or_null(call, 1), epsilon, rows, width, y);
  });
  return ok();
}

Status run_layer_norm(Call& call) {
  const std::int64_t width = call.instruction.integer("width", 0);
  const float epsilon = call.instruction.real("epsilon", 1e-5f);
  over_norm_rows(call, 3, [&](const float* x, std::int64_t rows, float* y) {
    call.machine.rows.layer_norm(x, floats_or_null(call, 1), floats_or_null(call, 2), epsilon, rows,
                                 width, y);
  });
  return ok();
}

Status run_rotary(Call& call) {
  const Value& x = *call.inputs[0];
  const std::int64_t heads = call.instruction.integer("heads", 0);
  const std::int64_t dim = x.dims[2] / heads;
  const std::int64_t given = call.instruction.integer("rotary", 0);
  const std::int64_t rotary = given > 0 ? given : dim;
  const std::int64_t tokens = x.dims[0] * x.dims[1];
  const bool interleaved = call.instruction.integer("interleaved", 0) != 0;
  over_each(call.machine, tokens, heads * dim * 2, [&](std::int64_t token) {
    const float* cosine = call.inputs[1]->floats() + token * rotary / 2;
    const float* sine = call.inputs[2]->floats() + token * rotary / 2;
    for (std::int64_t head = 0; head < heads; ++head) {
      const float* from = x.floats() + (token * heads + head) * dim;
      float* to = call.outputs[0]->floats() + (token * heads + head) * dim;
      call.machine.rows.rotate(from, cosine, sine, rotary / 2, interleaved, to);
      std::copy(from + rotary, from + dim, to + rotary);
    }
  });
  return ok();
}

std::size_t attention_scratch(const Call& call) {
  const Attention a = attention_of(call);
  const std::size_t threads =
      static_cast<std::size_t>(call.machine.pool.threads()) * per_thread_bytes(a);
  return threads + (call.keys == nullptr ? plain_cache_bytes(a) : 0);
}

Status run_attention(Call& call) {
  const Attention a = attention_of(call);
  if (a.tokens == 0) return ok();
  return call.keys != nullptr ? attend_cached(call, a) : attend_plain(call, a);
}

}  // namespace

std::span<const Operator> network_operators() {
  static constexpr Operator kOperators[] = {
      {program::Op::kRmsNorm, run_rms_norm, nullptr, shape_norm},
      {program::Op::kLayerNorm, run_layer_norm, nullptr, shape_norm},
      {program::Op::kRotary, run_rotary, nullptr, shape_same},
      {program::Op::kAttention, run_attention, attention_scratch, nullptr},
  };
  return kOperators;
}

}  // namespace thimble::runtime

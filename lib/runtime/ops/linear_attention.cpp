// What layers between attention's remember: LinearAttention (a matrix per head, updated by every
// position: Yang et al., "Gated Delta Networks", 2024) and CausalConvWithState (the last positions
// of a depthwise convolution).

#include <algorithm>
#include <cmath>

#include "runtime/ops/selection.h"
#include "support/checked.h"

namespace thimble::runtime {
namespace {

using program::Op;
using program::Type;

Status takes_f32(const Call& call) {
  for (const auto* list : {&call.inputs, &call.outputs}) {
    for (const Value* value : *list)
      THIMBLE_TRY(demand(value == nullptr || value->type == Type::kF32, "the operator takes f32"));
  }
  return ok();
}

struct Memory2d {
  std::int64_t batch = 0, length = 0, q_heads = 0, heads = 0, keys = 0, values = 0;
  std::int64_t decay_width = 0;  // 0: no decay; 1: a number a head; keys: one a key
  std::int64_t beta_width = 0;   // 0: no correction; 1: a number for all heads; heads: one each
  float scale = 1;
};

Expected<Memory2d> memory_of(const Call& call) {
  const Value &q = *call.inputs[0], &k = *call.inputs[1], &v = *call.inputs[2];
  Memory2d m;
  m.q_heads = call.instruction.integer("q_num_heads", 0);
  m.heads = call.instruction.integer("kv_num_heads", 0);
  const std::string_view rule = call.instruction.text("update_rule", "gated_delta");
  const bool gated = rule == "gated" || rule == "gated_delta",
             delta = rule == "delta" || rule == "gated_delta";
  const Value *decay = input_at(call, 4), *beta = input_at(call, 5);
  THIMBLE_TRY(demand((gated || delta || rule == "linear") && gated == (decay != nullptr) &&
                         delta == (beta != nullptr),
                     "LinearAttention's update_rule doesn't fit its inputs"));
  bool right = q.dims.size() == 3 && k.dims.size() == 3 && v.dims.size() == 3 && m.heads > 0 &&
               m.q_heads > 0 && m.q_heads % m.heads == 0 && q.dims[2] % m.q_heads == 0 &&
               k.dims[2] % m.heads == 0 && v.dims[2] % m.heads == 0;
  THIMBLE_TRY(demand(right, "LinearAttention's heads don't divide its inputs"));
  m.batch = q.dims[0];
  m.length = q.dims[1];
  m.keys = q.dims[2] / m.q_heads;
  m.values = v.dims[2] / m.heads;
  const auto has_rows = [&](const Value& x) {
    return x.dims.size() == 3 && x.dims[0] == m.batch && x.dims[1] == m.length;
  };
  right = has_rows(k) && has_rows(v) && k.dims[2] == m.keys * m.heads;
  if (decay != nullptr) {
    right = right && has_rows(*decay) && decay->dims[2] % m.heads == 0;
    m.decay_width = right ? decay->dims[2] / m.heads : 0;
    right = right && (m.decay_width == 1 || m.decay_width == m.keys);
  }
  if (beta != nullptr) {
    right = right && has_rows(*beta) && (beta->dims[2] == 1 || beta->dims[2] == m.heads);
    m.beta_width = right ? beta->dims[2] : 0;
  }
  if (const Value* past = input_at(call, 3))
    right = right && past->dims == Dims{m.batch, m.heads, m.keys, m.values};
  THIMBLE_TRY(demand(right, "LinearAttention's inputs don't fit"));
  const float scale = call.instruction.real("scale", 0.0f);
  m.scale = scale == 0 ? 1.0f / std::sqrt(static_cast<float>(m.keys)) : scale;
  return m;
}

Status shape_linear_attention(const Call& call, std::vector<Dims>& results) {
  THIMBLE_TRY(takes_f32(call));
  THIMBLE_ASSIGN(const Memory2d m, memory_of(call));
  results[0] = {m.batch, m.length, m.q_heads * m.values};
  if (results.size() > 1) results[1] = {m.batch, m.heads, m.keys, m.values};
  return ok();
}

// One head's matrix [keys, values], and room for what a position writes and how it decays.
std::size_t head_bytes(const Memory2d& m) {
  const auto floats = static_cast<std::size_t>(m.keys * m.values + m.values + m.keys);
  return round_up<std::size_t>(floats * sizeof(float) + 64, 64);
}

std::size_t linear_attention_scratch(const Call& call) {
  const auto m = memory_of(call);
  return m ? head_bytes(*m) * static_cast<std::size_t>(call.machine.pool.threads()) : 0;
}

// state = exp(decay) * state, by key.
void decay_state(Call& call, const Memory2d& m, std::int64_t row, std::int64_t head, float* factors,
                 float* state) {
  const float* decay = call.inputs[4]->floats() + (row * m.heads + head) * m.decay_width;
  call.machine.rows.map(kernels::Function::kExp, decay, m.decay_width, factors);
  for (std::int64_t d = 0; d < m.keys; ++d) {
    const float factor = factors[m.decay_width == 1 ? 0 : d];
    for (std::int64_t j = 0; j < m.values; ++j) state[d * m.values + j] *= factor;
  }
}

// What is written: the value, or how far the state is from it, times beta.
void correct(Call& call, const Memory2d& m, std::int64_t row, std::int64_t head, const float* key,
             const float* state, float* written) {
  const float* value = call.inputs[2]->floats() + (row * m.heads + head) * m.values;
  if (m.beta_width == 0) {
    std::copy_n(value, m.values, written);
    return;
  }
  std::fill_n(written, m.values, 0.0f);
  for (std::int64_t d = 0; d < m.keys; ++d) {
    for (std::int64_t j = 0; j < m.values; ++j) written[j] += key[d] * state[d * m.values + j];
  }
  const float beta = call.inputs[5]->floats()[row * m.beta_width + (m.beta_width == 1 ? 0 : head)];
  for (std::int64_t j = 0; j < m.values; ++j) written[j] = beta * (value[j] - written[j]);
}

void run_head(Call& call, const Memory2d& m, std::int64_t b, std::int64_t head, float* scratch) {
  float *state = scratch, *written = state + m.keys * m.values, *factors = written + m.values;
  const std::int64_t matrix = m.keys * m.values, at = (b * m.heads + head) * matrix;
  const Value* past = input_at(call, 3);
  if (past != nullptr) {
    std::copy_n(past->floats() + at, matrix, state);
  } else {
    std::fill_n(state, matrix, 0.0f);
  }
  const std::int64_t group = m.q_heads / m.heads;
  for (std::int64_t row = b * m.length; row < (b + 1) * m.length; ++row) {
    const float* key = call.inputs[1]->floats() + (row * m.heads + head) * m.keys;
    if (m.decay_width > 0) decay_state(call, m, row, head, factors, state);
    correct(call, m, row, head, key, state, written);
    for (std::int64_t d = 0; d < m.keys; ++d) {
      for (std::int64_t j = 0; j < m.values; ++j) state[d * m.values + j] += key[d] * written[j];
    }
    for (std::int64_t h = head * group; h < (head + 1) * group; ++h) {
      const float* query = call.inputs[0]->floats() + (row * m.q_heads + h) * m.keys;
      float* out = call.outputs[0]->floats() + (row * m.q_heads + h) * m.values;
      std::fill_n(out, m.values, 0.0f);
      for (std::int64_t d = 0; d < m.keys; ++d) {
        for (std::int64_t j = 0; j < m.values; ++j) out[j] += query[d] * state[d * m.values + j];
      }
      for (std::int64_t j = 0; j < m.values; ++j) out[j] *= m.scale;
    }
  }
  if (Value* present = output_at(call, 1)) std::copy_n(state, matrix, present->floats() + at);
}

Status run_linear_attention(Call& call) {
  THIMBLE_ASSIGN(const Memory2d m, memory_of(call));
  ScratchParts scratch(call.scratch, call.machine.pool.threads(), head_bytes(m));
  over_each(call.machine, scratch, m.batch * m.heads, m.length * m.keys * m.values * 4,
            [&](std::int64_t i, std::byte* part) {
              run_head(call, m, i / m.heads, i % m.heads, reinterpret_cast<float*>(part));
            });
  return ok();
}

Status shape_causal(const Call& call, std::vector<Dims>& results) {
  THIMBLE_TRY(takes_f32(call));
  const Value &x = *call.inputs[0], &w = *call.inputs[1];
  const Value *bias = input_at(call, 2), *past = input_at(call, 3);
  const std::string_view activation = call.instruction.text("activation", "none");
  bool right = x.dims.size() == 3 && w.dims.size() == 3 && w.dims[0] == x.dims[1] &&
               w.dims[1] == 1 && w.dims[2] >= 1 &&
               (activation == "none" || activation == "silu" || activation == "swish");
  right = right && (bias == nullptr || bias->dims == Dims{x.dims[1]}) &&
          (past == nullptr || past->dims == Dims{x.dims[0], x.dims[1], w.dims[2] - 1});
  THIMBLE_TRY(demand(right, "CausalConvWithState's inputs don't fit"));
  results[0] = x.dims;
  if (results.size() > 1) results[1] = {x.dims[0], x.dims[1], w.dims[2] - 1};
  return ok();
}

// A channel: taps over what came before and what is new.
void run_channel(Call& call, std::int64_t row) {
  const Value &x = *call.inputs[0], &w = *call.inputs[1];
  const Value *bias = input_at(call, 2), *past = input_at(call, 3);
  const std::int64_t length = x.dims[2], taps = w.dims[2], channel = row % x.dims[1];
  const float* before = past != nullptr ? past->floats() + row * (taps - 1) : nullptr;
  const float* now = x.floats() + row * length;
  const auto at = [&](std::int64_t t) {  // counted from the first new position
    return t >= 0 ? now[t] : before != nullptr ? before[t + taps - 1] : 0.0f;
  };
  float* y = call.outputs[0]->floats() + row * length;
  for (std::int64_t t = 0; t < length; ++t) {
    float sum = bias != nullptr ? bias->floats()[channel] : 0.0f;
    for (std::int64_t k = 0; k < taps; ++k)
      sum += w.floats()[channel * taps + k] * at(t - taps + 1 + k);
    y[t] = sum;
  }
  if (call.instruction.text("activation", "none") != "none")
    call.machine.rows.map(kernels::Function::kSilu, y, length, y);
  Value* present = output_at(call, 1);
  for (std::int64_t t = 0; present != nullptr && t < taps - 1; ++t)
    present->floats()[row * (taps - 1) + t] = at(length - taps + 1 + t);
}

Status run_causal(Call& call) {
  const Dims& x = call.inputs[0]->dims;
  over_each(call.machine, x[0] * x[1], x[2] * call.inputs[1]->dims[2],
            [&](std::int64_t row) { run_channel(call, row); });
  return ok();
}

}  // namespace

std::span<const Operator> remembering_operators() {
  static constexpr Operator kOperators[] = {
      {Op::kLinearAttention, run_linear_attention, linear_attention_scratch,
       shape_linear_attention},
      {Op::kCausalConvWithState, run_causal, nullptr, shape_causal},
  };
  return kOperators;
}

}  // namespace thimble::runtime

// LSTM, GRU and RNN: the inputs of all steps are multiplied at once, then every step multiplies the
// state and runs its cell row by row.

#include "runtime/ops/recurrent.h"

#include <algorithm>

#include "support/checked.h"

namespace thimble::runtime {
namespace {

using program::Op;
using program::Type;

constexpr std::string_view kLstmFunctions[] = {"Sigmoid", "Tanh", "Tanh"};
constexpr std::string_view kGruFunctions[] = {"Sigmoid", "Tanh"};
constexpr std::string_view kRnnFunctions[] = {"Tanh"};

Expected<Recurrence> recurrence_of(const Call& call) {
  switch (call.instruction.op) {
    case Op::kLstm:
      return recurrence_of(call, 4, kLstmFunctions);
    case Op::kGru:
      return recurrence_of(call, 3, kGruFunctions);
    default:
      return recurrence_of(call, 1, kRnnFunctions);
  }
}

Status shape_recurrent(const Call& call, std::vector<Dims>& results) {
  THIMBLE_ASSIGN(const Recurrence r, recurrence_of(call));
  for (const Value* output : call.outputs) {
    if (output != nullptr && output->type != Type::kF32)
      return invalid_argument("a recurrent network gives f32");
  }
  results[0] = r.batch_first ? Dims{r.batch, r.steps, r.directions, r.hidden}
                             : Dims{r.steps, r.directions, r.batch, r.hidden};
  for (std::size_t i = 1; i < results.size(); ++i) {
    results[i] = r.batch_first ? Dims{r.batch, r.directions, r.hidden}
                               : Dims{r.directions, r.batch, r.hidden};
  }
  return ok();
}

// One direction while it runs, and its memory.
struct Pass {
  Machine& machine;
  const Recurrence& r;
  std::int64_t direction = 0;
  std::int64_t direction_row() const { return direction * r.width(); }  // of W and R
  const Value* recurrent = nullptr;                              // R [directions * width, hidden]
  const float *input_bias = nullptr, *recurrent_bias = nullptr;  // [width], or null
  const float* peepholes = nullptr;                              // LSTM: [3, hidden], or null
  bool input_forget = false, reset_after = false;
  float* inputs = nullptr;                             // [rows of x, width]: x W^T
  float* product = nullptr;                            // [batch, width]: h R^T
  float* row = nullptr;                                // [width]
  float *h = nullptr, *c = nullptr, *gated = nullptr;  // [batch, hidden]
  std::span<std::byte> scratch;                        // of the products

  std::span<const Activation> functions() const {
    const std::size_t each = r.activations.size() / static_cast<std::size_t>(r.directions);
    return std::span(r.activations).subspan(each * static_cast<std::size_t>(direction), each);
  }
};

// row[k] for k in [begin, end): both products and both biases.
void add_parts(const Pass& p, const float* inputs, const float* product, std::int64_t begin,
               std::int64_t end) {
  for (std::int64_t k = begin; k < end; ++k) p.row[k] = inputs[k] + product[k];
  if (p.input_bias == nullptr) return;
  for (std::int64_t k = begin; k < end; ++k) p.row[k] += p.input_bias[k] + p.recurrent_bias[k];
}

void add_peephole(const Pass& p, int gate, int which, const float* c) {
  if (p.peepholes == nullptr) return;
  const std::int64_t hidden = p.r.hidden;
  for (std::int64_t k = 0; k < hidden; ++k)
    p.row[gate * hidden + k] += p.peepholes[which * hidden + k] * c[k];
}

// Gates i, o, f, c.
void step_lstm(const Pass& p, const float* inputs, const float* product, float* h, float* c) {
  const std::int64_t hidden = p.r.hidden;
  const auto f = p.functions();
  float *in = p.row, *out = p.row + hidden, *forget = p.row + 2 * hidden,
        *cell = p.row + 3 * hidden;
  add_parts(p, inputs, product, 0, p.r.width());
  add_peephole(p, 0, 0, c);
  add_peephole(p, 2, 2, c);
  activate(p.machine, f[0], p.r.clip, in, hidden);
  activate(p.machine, f[1], p.r.clip, cell, hidden);
  if (p.input_forget) {
    for (std::int64_t k = 0; k < hidden; ++k) forget[k] = 1 - in[k];
  } else {
    activate(p.machine, f[0], p.r.clip, forget, hidden);
  }
  for (std::int64_t k = 0; k < hidden; ++k) c[k] = forget[k] * c[k] + in[k] * cell[k];
  add_peephole(p, 1, 1, c);
  activate(p.machine, f[0], p.r.clip, out, hidden);
  std::copy_n(c, hidden, h);
  activate(p.machine, f[2], 0, h, hidden);
  for (std::int64_t k = 0; k < hidden; ++k) h[k] *= out[k];
}

// Gates z, r, h. First z and r, which leaves r * h in `gated`; then, when that is multiplied, h.
void open_gru(const Pass& p, const float* inputs, const float* product, const float* h,
              float* gates, float* gated) {
  const std::int64_t hidden = p.r.hidden;
  add_parts(p, inputs, product, 0, 2 * hidden);
  activate(p.machine, p.functions()[0], p.r.clip, p.row, 2 * hidden);
  std::copy_n(p.row, 2 * hidden, gates);
  for (std::int64_t k = 0; k < hidden; ++k) gated[k] = gates[hidden + k] * h[k];
}

void close_gru(const Pass& p, const float* inputs, const float* gates, float* h) {
  const std::int64_t hidden = p.r.hidden;
  const float *update = gates, *reset = gates + hidden, *product = gates + 2 * hidden;
  float* next = p.row + 2 * hidden;
  if (p.reset_after) {
    for (std::int64_t k = 0; k < hidden; ++k) {
      const float bias = p.input_bias == nullptr ? 0.0f : p.recurrent_bias[2 * hidden + k];
      next[k] = inputs[2 * hidden + k] + reset[k] * (product[k] + bias);
      if (p.input_bias != nullptr) next[k] += p.input_bias[2 * hidden + k];
    }
  } else {
    add_parts(p, inputs, gates, 2 * hidden, 3 * hidden);
  }
  activate(p.machine, p.functions()[1], p.r.clip, next, hidden);
  for (std::int64_t k = 0; k < hidden; ++k) h[k] = (1 - update[k]) * next[k] + update[k] * h[k];
}

void step_rnn(const Pass& p, const float* inputs, const float* product, float* h) {
  add_parts(p, inputs, product, 0, p.r.hidden);
  activate(p.machine, p.functions()[0], p.r.clip, p.row, p.r.hidden);
  std::copy_n(p.row, p.r.hidden, h);
}

std::int64_t length_of(const Dims& lengths, const Recurrence& r, std::int64_t b) {
  return lengths.empty() ? r.steps : lengths[static_cast<std::size_t>(b)];
}

// Runs step `s` of every sequence that is that long; f(b, its row of x).
template <class F>
void each_sequence(const Pass& p, const Dims& lengths, std::int64_t s, F f) {
  for (std::int64_t b = 0; b < p.r.batch; ++b) {
    const std::int64_t length = length_of(lengths, p.r, b);
    if (s >= length) continue;
    f(b, p.r.reversed(p.direction) ? length - 1 - s : s);
  }
}

void run_step(const Pass& p, Op op, const Dims& lengths, std::int64_t s, float* y) {
  const Recurrence& r = p.r;
  const std::int64_t hidden = r.hidden, width = r.width();
  const bool late = op == Op::kGru && !p.reset_after;  // the product for h waits for r
  const std::int64_t first = p.direction_row();
  multiply_rows(p.machine, p.h, r.batch, hidden, {p.recurrent, first, late ? 2 * hidden : width},
                p.product, width, p.scratch);
  if (op == Op::kGru) {
    each_sequence(p, lengths, s, [&](std::int64_t b, std::int64_t t) {
      float* gates = p.product + b * width;
      open_gru(p, p.inputs + r.row(t, b) * width, gates, p.h + b * hidden, gates,
               p.gated + b * hidden);
    });
  }
  if (late) {
    multiply_rows(p.machine, p.gated, r.batch, hidden, {p.recurrent, first + 2 * hidden, hidden},
                  p.product + 2 * hidden, width, p.scratch);
  }
  each_sequence(p, lengths, s, [&](std::int64_t b, std::int64_t t) {
    const float* inputs = p.inputs + r.row(t, b) * width;
    const float* product = p.product + b * width;
    float* h = p.h + b * hidden;
    if (op == Op::kLstm) {
      step_lstm(p, inputs, product, h, p.c + b * hidden);
    } else if (op == Op::kGru) {
      close_gru(p, inputs, product, h);
    } else {
      step_rnn(p, inputs, product, h);
    }
    if (y != nullptr) std::copy_n(h, hidden, y + r.result_row(t, p.direction, b) * hidden);
  });
}

// States of a direction, between the rows of the call's tensors and [batch, hidden].
void load_state(const Pass& p, const Value* from, float* to) {
  for (std::int64_t b = 0; b < p.r.batch; ++b) {
    if (from == nullptr) {
      std::fill_n(to + b * p.r.hidden, p.r.hidden, 0.0f);
    } else {
      std::copy_n(from->floats() + p.r.state_row(p.direction, b) * p.r.hidden, p.r.hidden,
                  to + b * p.r.hidden);
    }
  }
}
void store_state(const Pass& p, const float* from, Value* to) {
  if (to == nullptr) return;
  for (std::int64_t b = 0; b < p.r.batch; ++b) {
    std::copy_n(from + b * p.r.hidden, p.r.hidden,
                to->floats() + p.r.state_row(p.direction, b) * p.r.hidden);
  }
}

// What a direction works in, a multiple of 64.
std::size_t state_bytes(const Recurrence& r) {
  const std::int64_t floats =
      (r.steps + 1) * r.batch * r.width() + r.width() + 3 * r.batch * r.hidden;
  return round_up<std::size_t>(static_cast<std::size_t>(floats) * sizeof(float), 64);
}

std::size_t scratch_recurrent(const Call& call) {
  auto r = recurrence_of(call);
  if (!r) return 0;
  return state_bytes(*r) + product_scratch(call, *r);
}

Status run_recurrent(Call& call) {
  THIMBLE_ASSIGN(const Recurrence r, recurrence_of(call));
  const Op op = call.instruction.op;
  Dims lengths;
  if (const Value* given = input_at(call, 4)) {
    THIMBLE_ASSIGN(lengths, integers_of(*given));
  }
  const float* x = call.inputs[0]->floats();
  const Value *bias = input_at(call, 3), *peepholes = op == Op::kLstm ? input_at(call, 7) : nullptr;
  Value* y = output_at(call, 0);
  if (y != nullptr) std::fill_n(y->floats(), y->count(), 0.0f);
  for (std::int64_t d = 0; d < r.directions; ++d) {
    Pass p{.machine = call.machine, .r = r, .direction = d};
    p.recurrent = call.inputs[2];
    p.scratch = call.scratch.subspan(state_bytes(r));
    if (bias != nullptr) {
      p.input_bias = bias->floats() + d * 2 * r.width();
      p.recurrent_bias = p.input_bias + r.width();
    }
    if (peepholes != nullptr) p.peepholes = peepholes->floats() + d * 3 * r.hidden;
    p.input_forget = call.instruction.integer("input_forget", 0) != 0;
    p.reset_after = call.instruction.integer("linear_before_reset", 0) != 0;
    p.inputs = reinterpret_cast<float*>(call.scratch.data());
    p.product = p.inputs + r.steps * r.batch * r.width();
    p.row = p.product + r.batch * r.width();
    p.h = p.row + r.width();
    p.c = p.h + r.batch * r.hidden;
    p.gated = p.c + r.batch * r.hidden;
    multiply_rows(call.machine, x, r.steps * r.batch, r.inputs,
                  {call.inputs[1], p.direction_row(), r.width()}, p.inputs, r.width(), p.scratch);
    load_state(p, input_at(call, 5), p.h);
    load_state(p, op == Op::kLstm ? input_at(call, 6) : nullptr, p.c);
    for (std::int64_t s = 0; s < r.steps; ++s)
      run_step(p, op, lengths, s, y == nullptr ? nullptr : y->floats());
    store_state(p, p.h, output_at(call, 1));
    store_state(p, p.c, output_at(call, 2));
  }
  return ok();
}

}  // namespace

std::span<const Operator> recurrent_operators() {
  static constexpr Operator kOperators[] = {
      {Op::kLstm, run_recurrent, scratch_recurrent, shape_recurrent},
      {Op::kGru, run_recurrent, scratch_recurrent, shape_recurrent},
      {Op::kRnn, run_recurrent, scratch_recurrent, shape_recurrent},
  };
  return kOperators;
}

}  // namespace thimble::runtime

// RotaryEmbedding in its general form: three or four axes, angles looked up by position.

#include <algorithm>

#include "runtime/ops/selection.h"

namespace thimble::runtime {
namespace {

using program::Op;
using program::Type;

struct Turned {
  bool heads_first = false;  // [batch, heads, length, width] rather than [batch, length, hidden]
  std::int64_t batch = 0, heads = 0, length = 0, width = 0;
  std::int64_t half = 0;  // pairs that are turned
};

Expected<Turned> turned_of(const Call& call) {
  const Value& x = *call.inputs[0];
  Turned t;
  if (x.dims.size() == 4) {
    t = {.heads_first = true,
         .batch = x.dims[0],
         .heads = x.dims[1],
         .length = x.dims[2],
         .width = x.dims[3]};
  } else {
    const std::int64_t heads = call.instruction.integer("num_heads", 0);
    if (x.dims.size() != 3 || heads < 1 || x.dims[2] % heads != 0)
      return invalid_argument("RotaryEmbedding needs num_heads that divide its three axes' last");
    t = {.batch = x.dims[0], .heads = heads, .length = x.dims[1], .width = x.dims[2] / heads};
  }
  const std::int64_t given = call.instruction.integer("rotary_embedding_dim", 0);
  const std::int64_t rotary = given == 0 ? t.width : given;
  THIMBLE_TRY(demand(rotary >= 0 && rotary <= t.width && rotary % 2 == 0,
                     "RotaryEmbedding's width to turn is out of range"));
  t.half = rotary / 2;
  return t;
}

Status shape_rotary(const Call& call, std::vector<Dims>& results) {
  const Value &x = *call.inputs[0], &cosine = *call.inputs[1], &sine = *call.inputs[2];
  THIMBLE_TRY(keeps_type(call));
  THIMBLE_TRY(demand(x.type == Type::kF32 && cosine.type == x.type && sine.type == x.type,
                     "RotaryEmbedding takes f32"));
  THIMBLE_ASSIGN(const Turned t, turned_of(call));
  const Value* positions = input_at(call, 3);
  bool right = cosine.dims == sine.dims;
  if (positions != nullptr) {
    right = right && is_index(positions->type) && positions->dims == Dims{t.batch, t.length} &&
            cosine.dims.size() == 2 && cosine.dims[1] == t.half;
  } else {
    right = right && cosine.dims == Dims{t.batch, t.length, t.half};
  }
  THIMBLE_TRY(demand(right, "RotaryEmbedding's angles don't fit"));
  for (std::int64_t i = 0; positions != nullptr && i < positions->count(); ++i)
    THIMBLE_TRY(index_within(*positions, i, cosine.dims[0]));
  return shape_same(call, results);
}

Status run_rotary(Call& call) {
  THIMBLE_ASSIGN(const Turned t, turned_of(call));
  const Value* positions = input_at(call, 3);
  const bool interleaved = call.instruction.integer("interleaved", 0) != 0;
  const auto turn_row = [&](std::int64_t token) {
    const std::int64_t b = token / t.length, s = token % t.length;
    std::int64_t row = token;
    if (positions != nullptr) {
      row = index_at(*positions, token);
      if (row < 0) row += call.inputs[1]->dims[0];
    }
    for (std::int64_t h = 0; h < t.heads; ++h) {
      const std::int64_t at =
          (t.heads_first ? (b * t.heads + h) * t.length + s : token * t.heads + h) * t.width;
      const float* from = call.inputs[0]->floats() + at;
      float* to = call.outputs[0]->floats() + at;
      call.machine.rows.rotate(from, call.inputs[1]->floats() + row * t.half,
                               call.inputs[2]->floats() + row * t.half, t.half, interleaved, to);
      std::copy(from + 2 * t.half, from + t.width, to + 2 * t.half);
    }
  };
  over_each(call.machine, t.batch * t.length, t.heads * t.width * 2, turn_row);
  return ok();
}

}  // namespace

std::span<const Operator> rotating_operators() {
  static constexpr Operator kOperators[] = {{Op::kRotaryOf, run_rotary, nullptr, shape_rotary}};
  return kOperators;
}

}  // namespace thimble::runtime

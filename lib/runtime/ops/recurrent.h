#pragma once
// What LSTM, GRU and RNN share: sizes, activations, the products of a step.

#include <span>
#include <string_view>
#include <vector>

#include "runtime/ops/images.h"

namespace thimble::runtime {

// One of the functions that gates apply.
struct Activation {
  enum class Kind {
    kTanh,
    kSigmoid,
    kRelu,
    kAffine,           // alpha x + beta
    kLeakyRelu,        // alpha x below 0
    kThresholdedRelu,  // 0 up to alpha
    kScaledTanh,       // alpha tanh(beta x)
    kHardSigmoid,      // alpha x + beta within [0, 1]
    kElu,              // alpha (exp(x) - 1) below 0
    kSoftsign,
    kSoftplus,
  };
  Kind kind = Kind::kTanh;
  float alpha = 0, beta = 0;
};

struct Recurrence {
  std::int64_t steps = 0, batch = 0, inputs = 0, hidden = 0, gates = 0, directions = 1;
  bool batch_first = false;  // layout 1
  bool first_reversed = false;
  float clip = 0;                       // 0: none
  std::vector<Activation> activations;  // per direction as many as a cell has

  std::int64_t width() const { return gates * hidden; }
  bool reversed(std::int64_t direction) const { return direction == 1 || first_reversed; }
  // The row of [steps, batch] or [batch, steps].
  std::int64_t row(std::int64_t step, std::int64_t b) const {
    return batch_first ? b * steps + step : step * batch + b;
  }
  // The row of [directions, batch] or [batch, directions].
  std::int64_t state_row(std::int64_t direction, std::int64_t b) const {
    return batch_first ? b * directions + direction : direction * batch + b;
  }
  // The row of Y.
  std::int64_t result_row(std::int64_t step, std::int64_t direction, std::int64_t b) const {
    return batch_first ? (b * steps + step) * directions + direction
                       : (step * directions + direction) * batch + b;
  }
};

// Reads and checks x, W, R, B, sequence_lens, initial_h and the attributes. `gates`: of the cell;
// `defaults`: its activations' names.
Expected<Recurrence> recurrence_of(const Call& call, std::int64_t gates,
                                   std::span<const std::string_view> defaults);

// x becomes f(x), clipped before.
void activate(Machine& machine, const Activation& f, float clip, float* x, std::int64_t count);

// Rows [first, first + outputs) of a weight W or R, all its directions one after the other. Of a
// weight in tiles, `first` is where a tile begins.
struct RowsOf {
  const Value* weight = nullptr;
  std::int64_t first = 0, outputs = 0;
};
// y [rows, outputs] = x [rows, inputs] times those rows; scratch of product_scratch(..) bytes.
void multiply_rows(Machine& machine, const float* x, std::int64_t rows, std::int64_t inputs,
                   const RowsOf& weight, float* y, std::int64_t y_stride,
                   std::span<std::byte> scratch);
// Bytes that the products of the call's weights take, where these lie in tiles.
std::size_t product_scratch(const Call& call, const Recurrence& r);

}  // namespace thimble::runtime

// Convolutions of bytes: ConvInteger and QLinearConv.

#include <cmath>
#include <limits>

#include "runtime/ops/convolve.h"
#include "support/checked.h"

namespace thimble::runtime {
namespace {

using program::Type;

bool is_byte(Type type) { return type == Type::kI8 || type == Type::kU8; }

std::int32_t byte_at(const Value* value, std::int64_t i) {
  if (value == nullptr) return 0;
  if (value->count() == 1) i = 0;
  return value->type == Type::kI8 ? data_of<std::int8_t>(*value)[i]
                                  : data_of<std::uint8_t>(*value)[i];
}

Status check_zero(const Value* zero, Type type, std::int64_t most) {
  return demand(
      zero == nullptr || (zero->type == type && (zero->count() == 1 || zero->count() == most)),
      "a zero point has the wrong type or shape");
}

struct Operands {
  const Value *x, *weight, *x_zero, *weight_zero;
};

// Sums of one plane; they wrap around.
template <class X, class W>
void sum_plane(const Convolution& c, const Operands& from, std::int64_t n, std::int64_t output,
               std::uint32_t* sums) {
  const Windows& w = c.windows;
  const std::int64_t first = output / c.group_outputs() * c.group_channels();
  const X* x = data_of<X>(*from.x) + (n * c.channels + first) * volume(w.in);
  const W* weight = data_of<W>(*from.weight) + output * c.group_channels() * volume(w.kernel);
  const std::int32_t x_zero = byte_at(from.x_zero, 0);
  const std::int32_t weight_zero = byte_at(from.weight_zero, output);
  for (std::int64_t i = 0; i < c.group_channels(); ++i) {
    const X* plane = x + i * volume(w.in);
    const W* taps = weight + i * volume(w.kernel);
    each_row(w, [&](std::int64_t tap, std::int64_t at, std::int64_t to, std::int64_t columns) {
      const std::int32_t factor = taps[tap] - weight_zero;
      for (std::int64_t k = 0; k < columns; ++k) {
        sums[to + k] += static_cast<std::uint32_t>(factor * (plane[at + k * w.stride[2]] - x_zero));
      }
    });
  }
}

void sum_any(const Convolution& c, const Operands& from, std::int64_t n, std::int64_t output,
             std::uint32_t start, std::uint32_t* sums) {
  std::fill_n(sums, volume(c.windows.out), start);
  const bool x = from.x->type == Type::kI8, weight = from.weight->type == Type::kI8;
  if (x && weight) {
    sum_plane<std::int8_t, std::int8_t>(c, from, n, output, sums);
  } else if (x) {
    sum_plane<std::int8_t, std::uint8_t>(c, from, n, output, sums);
  } else if (weight) {
    sum_plane<std::uint8_t, std::int8_t>(c, from, n, output, sums);
  } else {
    sum_plane<std::uint8_t, std::uint8_t>(c, from, n, output, sums);
  }
}

std::int64_t plane_cost(const Convolution& c) {
  return c.group_channels() * volume(c.windows.kernel) * volume(c.windows.out);
}

Status shape_integer(const Call& call, std::vector<Dims>& results) {
  const Value &x = *call.inputs[0], &weight = *call.inputs[1];
  THIMBLE_TRY(demand(is_byte(x.type) && is_byte(weight.type) && call.outputs[0]->type == Type::kI32,
                     "ConvInteger takes bytes and gives i32"));
  THIMBLE_ASSIGN(const Convolution c, convolution_of(call, x.dims, weight.dims));
  THIMBLE_TRY(check_zero(input_at(call, 2), x.type, 1));
  THIMBLE_TRY(check_zero(input_at(call, 3), weight.type, c.outputs));
  results[0] = c.windows.result(c.batch, c.outputs);
  return ok();
}

Status run_integer(Call& call) {
  THIMBLE_ASSIGN(const Convolution c,
                 convolution_of(call, call.inputs[0]->dims, call.inputs[1]->dims));
  const Operands from{call.inputs[0], call.inputs[1], input_at(call, 2), input_at(call, 3)};
  auto* y = data_of<std::uint32_t>(*call.outputs[0]);
  over_each(call.machine, c.batch * c.outputs, plane_cost(c), [&](std::int64_t p) {
    sum_any(c, from, p / c.outputs, p % c.outputs, 0, y + p * volume(c.windows.out));
  });
  return ok();
}

// (x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, [bias])
Status shape_quantized(const Call& call, std::vector<Dims>& results) {
  const Value &x = *call.inputs[0], &weight = *call.inputs[3];
  THIMBLE_TRY(demand(is_byte(x.type) && is_byte(weight.type) && is_byte(call.outputs[0]->type),
                     "QLinearConv takes bytes and gives bytes"));
  THIMBLE_ASSIGN(const Convolution c, convolution_of(call, x.dims, weight.dims));
  THIMBLE_TRY(check_zero(call.inputs[2], x.type, 1));
  THIMBLE_TRY(check_zero(call.inputs[5], weight.type, c.outputs));
  THIMBLE_TRY(check_zero(call.inputs[7], call.outputs[0]->type, 1));
  for (const std::size_t i : {1, 4, 6}) {
    const Value& scale = *call.inputs[i];
    THIMBLE_TRY(demand(
        scale.type == Type::kF32 && (scale.count() == 1 || (i == 4 && scale.count() == c.outputs)),
        "QLinearConv's scales have the wrong type or shape"));
  }
  const Value* bias = input_at(call, 8);
  THIMBLE_TRY(demand(bias == nullptr || (bias->type == Type::kI32 && bias->count() == c.outputs),
                     "QLinearConv's bias has the wrong type or shape"));
  results[0] = c.windows.result(c.batch, c.outputs);
  return ok();
}

std::size_t plane_bytes(const Call& call) {
  const Dims& y = call.outputs[0]->dims;
  return round_up<std::size_t>(static_cast<std::size_t>(product_of(y, 2, y.size())) * 4 + 1, 64);
}

std::size_t scratch_quantized(const Call& call) {
  return static_cast<std::size_t>(call.machine.pool.threads()) * plane_bytes(call);
}

template <class Y>
void requantize(const std::uint32_t* sums, std::int64_t count, float factor, std::int32_t zero,
                Y* y) {
  constexpr float kLeast = std::numeric_limits<Y>::min(), kMost = std::numeric_limits<Y>::max();
  for (std::int64_t i = 0; i < count; ++i) {
    const float value =
        std::nearbyint(static_cast<float>(static_cast<std::int32_t>(sums[i])) * factor) +
        static_cast<float>(zero);
    y[i] = narrowed<Y>(std::clamp(value, kLeast, kMost));
  }
}

Status run_quantized(Call& call) {
  THIMBLE_ASSIGN(const Convolution c,
                 convolution_of(call, call.inputs[0]->dims, call.inputs[3]->dims));
  const Operands from{call.inputs[0], call.inputs[3], call.inputs[2], call.inputs[5]};
  const Value* bias = input_at(call, 8);
  const Value& scales = *call.inputs[4];
  const float per_step = call.inputs[1]->floats()[0] / call.inputs[6]->floats()[0];
  const std::int32_t zero = byte_at(call.inputs[7], 0);
  const std::int64_t count = volume(c.windows.out);
  Value& y = *call.outputs[0];
  ScratchParts scratch(call.scratch, call.machine.pool.threads(), plane_bytes(call));
  const auto one = [&](std::int64_t p, std::byte* memory) {
    const std::int64_t output = p % c.outputs;
    auto* sums = reinterpret_cast<std::uint32_t*>(memory);
    sum_any(c, from, p / c.outputs, output,
            bias == nullptr ? 0 : data_of<std::uint32_t>(*bias)[output], sums);
    const float factor = scales.floats()[scales.count() == 1 ? 0 : output] * per_step;
    if (y.type == Type::kI8) {
      requantize(sums, count, factor, zero, data_of<std::int8_t>(y) + p * count);
    } else {
      requantize(sums, count, factor, zero, data_of<std::uint8_t>(y) + p * count);
    }
  };
  over_each(call.machine, scratch, c.batch * c.outputs, plane_cost(c), one);
  return ok();
}

}  // namespace

std::span<const Operator> whole_convolutions() {
  static constexpr Operator kOperators[] = {
      {program::Op::kConvInteger, run_integer, nullptr, shape_integer},
      {program::Op::kQLinearConv, run_quantized, scratch_quantized, shape_quantized},
  };
  return kOperators;
}

}  // namespace thimble::runtime

// Functions of two values, and Min, Max, Sum and Mean of any number of them, with ONNX
// broadcasting.

#include <cmath>

#include "runtime/ops/numbers.h"
#include "support/math.h"

namespace thimble::runtime {
namespace {

using program::BinaryFunction;
using program::Op;
using program::Type;

bool compare(BinaryFunction function, auto a, auto b) {
  switch (function) {
    case BinaryFunction::kEqual:
      return a == b;
    case BinaryFunction::kLess:
      return a < b;
    case BinaryFunction::kLessOrEqual:
      return a <= b;
    case BinaryFunction::kGreater:
      return a > b;
    case BinaryFunction::kGreaterOrEqual:
      return a >= b;
    case BinaryFunction::kAnd:
      return a != 0 && b != 0;
    case BinaryFunction::kXor:
      return (a != 0) != (b != 0);
    default:
      return a != 0 || b != 0;
  }
}

// Small whole powers of small whole numbers are exact.
double power(double base, double exponent) {
  constexpr double kExact = 0x1p53;
  const double result = math::pow(base, exponent);
  const bool whole_numbers = std::nearbyint(base) == base && std::nearbyint(exponent) == exponent;
  return whole_numbers && exponent >= 0 && std::fabs(result) < kExact ? std::nearbyint(result)
                                                                      : result;
}

// What isn't defined (division by zero, bits of floats) is noted in `wrong`.
double combined(BinaryFunction function, double a, double b, const char*& wrong) {
  switch (function) {
    case BinaryFunction::kAdd:
      return a + b;
    case BinaryFunction::kSub:
      return a - b;
    case BinaryFunction::kMul:
      return a * b;
    case BinaryFunction::kDiv:
      return a / b;
    case BinaryFunction::kMin:
      return a < b || std::isnan(a) ? a : b;
    case BinaryFunction::kMax:
      return a > b || std::isnan(a) ? a : b;
    case BinaryFunction::kPow:
      return power(a, b);
    case BinaryFunction::kMod: {
      const double rest = std::fmod(a, b);
      return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
    }
    case BinaryFunction::kFmod:
      return std::fmod(a, b);
    case BinaryFunction::kPrelu:
      return a < 0 ? a * b : a;
    default:
      wrong = "bitwise functions take integers";
      return 0;
  }
}

// Remainders and quotients of either signedness; b is not 0.
template <class W>
W divided(BinaryFunction function, W a, W b) {
  if (std::is_signed_v<W> && b == static_cast<W>(-1)) {
    return function == BinaryFunction::kDiv ? static_cast<W>(0 - static_cast<std::uint64_t>(a)) : 0;
  }
  if (function == BinaryFunction::kDiv) return a / b;
  const W rest = a % b;
  const bool other_sign = rest != 0 && (rest < 0) != (b < 0);
  return function == BinaryFunction::kMod && other_sign ? rest + b : rest;
}

template <class W>
W whole_power(W base, W exponent) {
  std::uint64_t result = 1, square = static_cast<std::uint64_t>(base);
  for (auto e = static_cast<std::uint64_t>(exponent); e != 0; e >>= 1, square *= square)
    result *= (e & 1) != 0 ? square : 1;
  return static_cast<W>(result);
}

// Whole numbers wrap around.
template <class W>
W combined(BinaryFunction function, W a, W b, const char*& wrong) {
  const auto x = static_cast<std::uint64_t>(a), y = static_cast<std::uint64_t>(b);
  switch (function) {
    case BinaryFunction::kAdd:
      return static_cast<W>(x + y);
    case BinaryFunction::kSub:
      return static_cast<W>(x - y);
    case BinaryFunction::kMul:
      return static_cast<W>(x * y);
    case BinaryFunction::kMin:
      return a < b ? a : b;
    case BinaryFunction::kMax:
      return a > b ? a : b;
    case BinaryFunction::kDiv:
    case BinaryFunction::kMod:
    case BinaryFunction::kFmod:
      if (b == 0) wrong = "division by zero";
      return b == 0 ? 0 : divided(function, a, b);
    case BinaryFunction::kPow:
      if (b >= 0) return whole_power(a, b);
      return static_cast<W>(whole(math::pow(static_cast<double>(a), static_cast<double>(b))));
    case BinaryFunction::kBitwiseAnd:
      return static_cast<W>(x & y);
    case BinaryFunction::kBitwiseOr:
      return static_cast<W>(x | y);
    case BinaryFunction::kBitwiseXor:
      return static_cast<W>(x ^ y);
    case BinaryFunction::kShiftLeft:
      return y > 63 ? 0 : static_cast<W>(x << y);
    case BinaryFunction::kShiftRight:
      return y > 63 ? 0 : static_cast<W>(x >> y);
    case BinaryFunction::kPrelu:
      return a < 0 ? static_cast<W>(x * y) : a;
    default:
      wrong = "an unknown function of two values";
      return 0;
  }
}

template <class W>
Status combine_elements(Call& call, BinaryFunction function, const Value& a, const Value& b,
                        Value& y) {
  const char* wrong = nullptr;
  const bool asks = program::is_predicate(function);
  each_element<2>(y.dims, {broadcast_strides(a.dims, y.dims), broadcast_strides(b.dims, y.dims)},
                  [&](std::int64_t flat, const std::array<std::int64_t, 2>& at) {
                    const W left = element<W>(a, at[0]), right = element<W>(b, at[1]);
                    if (asks) {
                      data_of<std::uint8_t>(y)[flat] = compare(function, left, right);
                    } else {
                      set_element(y, flat, combined(function, left, right, wrong));
                    }
                  });
  static_cast<void>(call);
  return wrong == nullptr ? ok() : Status(invalid_argument(wrong));
}

// The result as runs along its last axes, in each of which either side advances or stands still.
struct Runs {
  std::int64_t length = 1;
  bool moves[2] = {false, false};
  Dims outer;
  Dims strides[2];
};

Runs runs_of(const Value& a, const Value& b, const Dims& dims) {
  Runs runs;
  runs.outer = dims;
  runs.strides[0] = broadcast_strides(a.dims, dims);
  runs.strides[1] = broadcast_strides(b.dims, dims);
  while (!runs.outer.empty()) {
    const std::int64_t size = runs.outer.back();
    if (size != 1) {
      bool goes_on = true;
      for (int side = 0; side < 2; ++side) {
        const std::int64_t stride = runs.strides[side].back();
        if (runs.length == 1) runs.moves[side] = stride != 0;
        goes_on = goes_on && stride == (runs.moves[side] ? runs.length : 0);
      }
      if (!goes_on) break;
      runs.length *= size;
    }
    runs.outer.pop_back();
    runs.strides[0].pop_back();
    runs.strides[1].pop_back();
  }
  return runs;
}

constexpr std::int64_t kPiece = 1024;

// One piece of a run: a side that stands still is spread into `held`.
const float* side_of(const float* data, bool moves, std::int64_t offset, std::int64_t count,
                     float* held) {
  if (moves) return data + offset;
  std::fill_n(held, count, *data);
  return held;
}

// f32 in vectors, wherever runs are long enough to pay.
bool combine_runs(Call& call, BinaryFunction function, const Value& a, const Value& b, Value& y) {
  const bool known = function <= BinaryFunction::kMax || function == BinaryFunction::kPrelu;
  if (a.type != Type::kF32 || b.type != Type::kF32 || !known) return false;
  if (y.count() == 0) return true;
  const Runs runs = runs_of(a, b, y.dims);
  if (runs.length < 8 && y.count() > runs.length) return false;
  const auto pair = function == BinaryFunction::kPrelu ? kernels::Pair::kLeaky
                                                       : static_cast<kernels::Pair>(function);
  const std::int64_t pieces = (runs.length + kPiece - 1) / kPiece;
  const std::int64_t cost = std::min(runs.length, kPiece);
  over_each(call.machine, count_of(runs.outer) * pieces, cost, [&](std::int64_t part) {
    const std::int64_t run = part / pieces, offset = part % pieces * kPiece;
    const std::int64_t count = std::min(kPiece, runs.length - offset);
    float* to = y.floats() + run * runs.length + offset;
    const float* from[2] = {a.floats() + offset_of(run, runs.outer, runs.strides[0]),
                            b.floats() + offset_of(run, runs.outer, runs.strides[1])};
    if (pair == kernels::Pair::kMul && runs.moves[0] != runs.moves[1]) {
      const int side = runs.moves[0] ? 0 : 1;  // the other stands still
      return call.machine.rows.scale(from[side] + offset, *from[1 - side], count, to);
    }
    float held[2][kPiece];
    const float* left = side_of(from[0], runs.moves[0], offset, count, held[0]);
    const float* right = side_of(from[1], runs.moves[1], offset, count, held[1]);
    call.machine.rows.pair(pair, left, right, count, to);
  });
  return true;
}

// x^2 of f32, which x * x rounds as well as can be.
bool is_square(BinaryFunction function, const Value& a, const Value& b) {
  return function == BinaryFunction::kPow && a.type == Type::kF32 && b.type == Type::kF32 &&
         b.count() == 1 && b.floats()[0] == 2.0f;
}

Status combine(Call& call, BinaryFunction function, const Value& a, const Value& b, Value& y) {
  if (is_square(function, a, b) && y.count() == a.count())
    return combine(call, BinaryFunction::kMul, a, a, y);
  if (combine_runs(call, function, a, b, y)) return ok();
  const bool real_power = function == BinaryFunction::kPow && family_of(b.type) == Family::kReal;
  return with_family(real_power ? b.type : a.type, [&](auto zero) {
    return combine_elements<decltype(zero)>(call, function, a, b, y);
  });
}

Status run_binary(Call& call) {
  return combine(call, static_cast<BinaryFunction>(call.instruction.integer("function", 0)),
                 *call.inputs[0], *call.inputs[1], *call.outputs[0]);
}

Status shape_any_number(const Call& call, std::vector<Dims>& results) {
  Dims dims = call.inputs[0]->dims;
  for (const Value* x : call.inputs) {
    THIMBLE_TRY(demand(x->type == call.outputs[0]->type, "all values are of one type"));
    THIMBLE_ASSIGN(dims, broadcast_dims(dims, x->dims));
  }
  results[0] = std::move(dims);
  return ok();
}

// y itself is the left side of every step after the first.
Status run_any_number(Call& call) {
  Value& y = *call.outputs[0];
  const Value& first = *call.inputs[0];
  const Op op = call.instruction.op;
  const BinaryFunction function = op == Op::kMin   ? BinaryFunction::kMin
                                  : op == Op::kMax ? BinaryFunction::kMax
                                                   : BinaryFunction::kAdd;
  copy_strided(call.machine, first, broadcast_strides(first.dims, y.dims), 0, y);
  for (std::size_t i = 1; i < call.inputs.size(); ++i)
    THIMBLE_TRY(combine(call, function, y, *call.inputs[i], y));
  if (op != Op::kMean) return ok();
  const auto count = static_cast<double>(call.inputs.size());
  over_each(call.machine, y.count(), 4,
            [&](std::int64_t i) { set_element(y, i, element<double>(y, i) / count); });
  return ok();
}

}  // namespace

std::span<const Operator> binary_operators() {
  static constexpr Operator kOperators[] = {
      {Op::kBinary, run_binary, nullptr, shape_binary},
      {Op::kMin, run_any_number, nullptr, shape_any_number},
      {Op::kMax, run_any_number, nullptr, shape_any_number},
      {Op::kSum, run_any_number, nullptr, shape_any_number},
      {Op::kMean, run_any_number, nullptr, shape_any_number},
  };
  return kOperators;
}

}  // namespace thimble::runtime

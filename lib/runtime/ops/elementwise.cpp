// Functions of elements, with ONNX broadcasting.

#include <cmath>
#include <concepts>
#include <cstring>
#include <optional>

#include "runtime/ops/ops.h"
#include "support/half.h"
#include "support/math.h"

namespace thimble::runtime {
namespace {

using program::BinaryFunction;
using program::Type;
using program::UnaryFunction;

// The kernels' functions by the program's numbers; those that need more than fused operations run
// on support/math, one element at a time.
std::optional<kernels::Function> kernel_function(std::int64_t number) {
  switch (static_cast<UnaryFunction>(number)) {
    case UnaryFunction::kIdentity:
      return kernels::Function::kIdentity;
    case UnaryFunction::kSilu:
      return kernels::Function::kSilu;
    case UnaryFunction::kGeluErf:
      return kernels::Function::kGeluErf;
    case UnaryFunction::kGeluTanh:
      return kernels::Function::kGeluTanh;
    case UnaryFunction::kGeluQuick:
      return kernels::Function::kGeluQuick;
    case UnaryFunction::kTanh:
      return kernels::Function::kTanh;
    case UnaryFunction::kSigmoid:
      return kernels::Function::kSigmoid;
    case UnaryFunction::kRelu:
      return kernels::Function::kRelu;
    case UnaryFunction::kExp:
      return kernels::Function::kExp;
    case UnaryFunction::kErf:
      return kernels::Function::kErf;
    case UnaryFunction::kSqrt:
      return kernels::Function::kSqrt;
    case UnaryFunction::kReciprocal:
      return kernels::Function::kReciprocal;
    case UnaryFunction::kNeg:
      return kernels::Function::kNeg;
    case UnaryFunction::kAbs:
      return kernels::Function::kAbs;
    case UnaryFunction::kRound:
      return kernels::Function::kRound;
    case UnaryFunction::kHardSwish:
      return kernels::Function::kHardSwish;
    default:
      return std::nullopt;
  }
}

float slow_function(UnaryFunction function, float x) {
  switch (function) {
    case UnaryFunction::kLog:
      return math::log(x);
    case UnaryFunction::kSin:
      return math::sin(x);
    case UnaryFunction::kCos:
      return math::cos(x);
    case UnaryFunction::kFloor:
      return std::floor(x);
    case UnaryFunction::kCeil:
      return std::ceil(x);
    case UnaryFunction::kSoftplus:
      return x > 20.0f ? x : math::log1p(math::exp(x));
    default:
      return x;
  }
}

// Whole numbers wrap around.
template <class T>
struct Wrapping {
  using type = T;
};
template <std::signed_integral T>
struct Wrapping<T> {
  using type = std::make_unsigned_t<T>;
};

template <class T>
Expected<T> arithmetic(BinaryFunction function, T a, T b) {
  using W = typename Wrapping<T>::type;
  switch (function) {
    case BinaryFunction::kAdd:
      return static_cast<T>(static_cast<W>(a) + static_cast<W>(b));
    case BinaryFunction::kSub:
      return static_cast<T>(static_cast<W>(a) - static_cast<W>(b));
    case BinaryFunction::kMul:
      return static_cast<T>(static_cast<W>(a) * static_cast<W>(b));
    case BinaryFunction::kMin:
      return a < b ? a : b;
    case BinaryFunction::kMax:
      return a > b ? a : b;
    case BinaryFunction::kDiv:
      if constexpr (std::is_integral_v<T>) {
        if (b == 0) return invalid_argument("division by zero");
        if (std::is_signed_v<T> && b == static_cast<T>(-1))
          return static_cast<T>(W{} - static_cast<W>(a));
      }
      return static_cast<T>(a / b);
    case BinaryFunction::kMod:
      if constexpr (std::is_integral_v<T>) {
        if (b == 0) return invalid_argument("division by zero");
        if (std::is_signed_v<T> && b == static_cast<T>(-1)) return T{};
        const T rest = static_cast<T>(a % b);
        return rest != 0 && (rest < 0) != (b < 0) ? static_cast<T>(rest + b) : rest;
      }
      return static_cast<T>(std::fmod(a, b));
    case BinaryFunction::kPow:
      return narrowed<T>(math::pow(static_cast<float>(a), static_cast<float>(b)));
    default:
      return unsupported("an unknown function of two values");
  }
}

template <class T>
bool compare(BinaryFunction function, T a, T b) {
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
      return a != T{} && b != T{};
    default:
      return a != T{} || b != T{};
  }
}

bool is_comparison(BinaryFunction function) {
  return function >= BinaryFunction::kEqual && function <= BinaryFunction::kOr;
}

template <class T>
Status binary_typed(Call& call, BinaryFunction function) {
  const Value& a = *call.inputs[0];
  const Value& b = *call.inputs[1];
  Value& y = *call.outputs[0];
  const auto* left = static_cast<const T*>(a.data);
  const auto* right = static_cast<const T*>(b.data);
  Status failed = ok();
  each_element<2>(y.dims, {broadcast_strides(a.dims, y.dims), broadcast_strides(b.dims, y.dims)},
                  [&](std::int64_t flat, const std::array<std::int64_t, 2>& at) {
                    if (is_comparison(function)) {
                      static_cast<std::uint8_t*>(y.data)[flat] =
                          compare(function, left[at[0]], right[at[1]]);
                      return;
                    }
                    auto value = arithmetic(function, left[at[0]], right[at[1]]);
                    if (value)
                      static_cast<T*>(y.data)[flat] = *value;
                    else if (failed)
                      failed = std::move(value).error();
                  });
  return failed;
}

// The common forms in vectors: same shapes, or one side repeated over rows.
bool binary_fast(Call& call, BinaryFunction function) {
  const Value& a = *call.inputs[0];
  const Value& b = *call.inputs[1];
  Value& y = *call.outputs[0];
  if (a.type != Type::kF32 || function > BinaryFunction::kMax || a.dims != y.dims) return false;
  const auto pair = static_cast<kernels::Pair>(function);
  const std::int64_t width = b.count();
  const bool suffix = b.dims.size() <= y.dims.size() && width > 0 &&
                      std::equal(b.dims.begin(), b.dims.end(),
                                 y.dims.end() - static_cast<std::ptrdiff_t>(b.dims.size()));
  if (!suffix || (width < 16 && width != y.count())) return false;
  over_rows(call.machine, y.count() / width, width, [&](std::size_t begin, std::size_t end) {
    for (std::size_t row = begin; row < end; ++row) {
      const std::int64_t at = static_cast<std::int64_t>(row) * width;
      call.machine.rows.pair(pair, a.floats() + at, b.floats(), width, y.floats() + at);
    }
  });
  return true;
}

// Everything to a number wide enough for every type but f64's full precision.
double number_at(const Value& value, std::int64_t i) {
  switch (value.type) {
    case Type::kF32:
      return static_cast<const float*>(value.data)[i];
    case Type::kF64:
      return static_cast<const double*>(value.data)[i];
    case Type::kF16:
      return half_to_float(static_cast<const std::uint16_t*>(value.data)[i]);
    case Type::kBF16:
      return bfloat_to_float(static_cast<const std::uint16_t*>(value.data)[i]);
    case Type::kI32:
      return static_cast<const std::int32_t*>(value.data)[i];
    case Type::kI64:
      return static_cast<double>(static_cast<const std::int64_t*>(value.data)[i]);
    case Type::kU8:
    case Type::kBool:
      return static_cast<const std::uint8_t*>(value.data)[i];
    case Type::kI8:
      return static_cast<const std::int8_t*>(value.data)[i];
    default:
      break;
  }
  return 0;
}

void set_number(Value& value, std::int64_t i, double x) {
  switch (value.type) {
    case Type::kF32:
      static_cast<float*>(value.data)[i] = static_cast<float>(x);
      break;
    case Type::kF64:
      static_cast<double*>(value.data)[i] = x;
      break;
    case Type::kF16:
      static_cast<std::uint16_t*>(value.data)[i] = float_to_half(static_cast<float>(x));
      break;
    case Type::kBF16:
      static_cast<std::uint16_t*>(value.data)[i] = float_to_bfloat(static_cast<float>(x));
      break;
    case Type::kI32:
      static_cast<std::int32_t*>(value.data)[i] = static_cast<std::int32_t>(whole(x));
      break;
    case Type::kI64:
      static_cast<std::int64_t*>(value.data)[i] = whole(x);
      break;
    case Type::kU8:
      static_cast<std::uint8_t*>(value.data)[i] = static_cast<std::uint8_t>(whole(x));
      break;
    case Type::kI8:
      static_cast<std::int8_t*>(value.data)[i] = static_cast<std::int8_t>(whole(x));
      break;
    case Type::kBool:
      static_cast<std::uint8_t*>(value.data)[i] = x != 0;
      break;
    default:
      break;
  }
}

// Splits [0, count) in pieces that start at multiples of 1024.
template <class F>
void over_pieces(Call& call, std::int64_t count, F f) {
  constexpr std::int64_t kPiece = 1024;
  const std::int64_t pieces = (count + kPiece - 1) / kPiece;
  over_rows(call.machine, pieces, kPiece * 4, [&](std::size_t begin, std::size_t end) {
    const std::int64_t from = static_cast<std::int64_t>(begin) * kPiece;
    const std::int64_t to = std::min(static_cast<std::int64_t>(end) * kPiece, count);
    if (from < to) f(from, to - from);
  });
}

Status run_unary(Call& call) {
  const Value& x = *call.inputs[0];
  Value& y = *call.outputs[0];
  const std::int64_t number = call.instruction.integer("function", 0);
  if (static_cast<UnaryFunction>(number) == UnaryFunction::kNot) {
    for (std::int64_t i = 0; i < x.count(); ++i)
      static_cast<std::uint8_t*>(y.data)[i] = static_cast<const std::uint8_t*>(x.data)[i] == 0;
    return ok();
  }
  if (x.type != Type::kF32) {
    for (std::int64_t i = 0; i < x.count(); ++i) {
      const double v = number_at(x, i);
      const auto function = static_cast<UnaryFunction>(number);
      if (function != UnaryFunction::kNeg && function != UnaryFunction::kAbs)
        return unsupported("functions are of f32 values");
      set_number(y, i, function == UnaryFunction::kNeg ? -v : std::fabs(v));
    }
    return ok();
  }
  if (const auto function = kernel_function(number)) {
    over_pieces(call, x.count(), [&](std::int64_t from, std::int64_t count) {
      call.machine.rows.map(*function, x.floats() + from, count, y.floats() + from);
    });
    return ok();
  }
  over_pieces(call, x.count(), [&](std::int64_t from, std::int64_t count) {
    for (std::int64_t i = from; i < from + count; ++i)
      y.floats()[i] = slow_function(static_cast<UnaryFunction>(number), x.floats()[i]);
  });
  return ok();
}

Status run_gated(Call& call) {
  const auto function = kernel_function(call.instruction.integer("function", 0));
  const Value& gate = *call.inputs[0];
  const Value& up = *call.inputs[1];
  if (!function) return unsupported("this function has no gated form");
  over_pieces(call, gate.count(), [&](std::int64_t from, std::int64_t count) {
    call.machine.rows.gated(*function, gate.floats() + from, up.floats() + from, count,
                            call.outputs[0]->floats() + from);
  });
  return ok();
}

Status run_binary(Call& call) {
  const auto function = static_cast<BinaryFunction>(call.instruction.integer("function", 0));
  const Value& a = *call.inputs[0];
  if (binary_fast(call, function)) return ok();
  switch (a.type) {
    case Type::kF32:
      return binary_typed<float>(call, function);
    case Type::kI64:
      return binary_typed<std::int64_t>(call, function);
    case Type::kI32:
      return binary_typed<std::int32_t>(call, function);
    case Type::kBool:
    case Type::kU8:
      return binary_typed<std::uint8_t>(call, function);
    default:
      return unsupported("no functions of two " + std::string(program::type_name(a.type)) +
                         " values");
  }
}

Status run_scale(Call& call) {
  const Value& x = *call.inputs[0];
  const float factor = call.instruction.real("factor", 1.0f);
  over_pieces(call, x.count(), [&](std::int64_t from, std::int64_t count) {
    call.machine.rows.scale(x.floats() + from, factor, count, call.outputs[0]->floats() + from);
  });
  return ok();
}

Status run_where(Call& call) {
  Value& y = *call.outputs[0];
  const Value& condition = *call.inputs[0];
  const Dims& dims = y.dims;
  const auto size = static_cast<std::size_t>(program::type_bytes(y.type));
  const Value* sides[2] = {call.inputs[1], call.inputs[2]};
  each_element<3>(dims,
                  {broadcast_strides(condition.dims, dims), broadcast_strides(sides[0]->dims, dims),
                   broadcast_strides(sides[1]->dims, dims)},
                  [&](std::int64_t flat, const std::array<std::int64_t, 3>& at) {
                    const bool yes = static_cast<const std::uint8_t*>(condition.data)[at[0]] != 0;
                    const std::int64_t from = yes ? at[1] : at[2];
                    std::memcpy(
                        static_cast<std::byte*>(y.data) + static_cast<std::size_t>(flat) * size,
                        static_cast<const std::byte*>(sides[yes ? 0 : 1]->data) +
                            static_cast<std::size_t>(from) * size,
                        size);
                  });
  return ok();
}

Status run_cast(Call& call) {
  const Value& x = *call.inputs[0];
  for (std::int64_t i = 0; i < x.count(); ++i) set_number(*call.outputs[0], i, number_at(x, i));
  return ok();
}

}  // namespace

std::span<const Operator> elementwise_operators() {
  static constexpr Operator kOperators[] = {
      {program::Op::kUnary, run_unary, nullptr, shape_same},
      {program::Op::kGatedUnary, run_gated, nullptr, shape_same},
      {program::Op::kBinary, run_binary, nullptr, shape_binary},
      {program::Op::kScale, run_scale, nullptr, shape_same},
      {program::Op::kWhere, run_where, nullptr, shape_where},
      {program::Op::kCast, run_cast, nullptr, shape_same},
  };
  return kOperators;
}

}  // namespace thimble::runtime

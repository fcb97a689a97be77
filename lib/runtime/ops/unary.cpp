// Functions of one value, element by element.

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "runtime/ops/numbers.h"
#include "support/math.h"

namespace thimble::runtime {
namespace {

using program::Op;
using program::Type;
using program::UnaryFunction;

// The kernels' functions by the program's numbers.
std::optional<kernels::Function> kernel_function(UnaryFunction function) {
  switch (function) {
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

struct Parameters {
  UnaryFunction function;
  float alpha, beta;
};

Parameters parameters_of(const Call& call) {
  return {static_cast<UnaryFunction>(call.instruction.integer("function", 0)),
          call.instruction.real("alpha", 0), call.instruction.real("beta", 0)};
}

// Of reals in f64. Where a sum would cancel near zero, the first two terms of the series stand in.
constexpr double kTiny = 1e-5;

double expm1(double x) { return std::fabs(x) < kTiny ? x + x * x / 2 : math::exp(x) - 1; }
double sigmoid(double x) { return 1 / (1 + math::exp(-x)); }
double softplus(double x) {
  if (x > 34) return x;
  const double e = math::exp(x);
  return e < kTiny ? e - e * e / 2 : math::log(1 + e);
}
double tanh(double x) {
  if (std::fabs(x) < kTiny) return x - x * x * x / 3;
  return x > 20 ? 1 : x < -20 ? -1 : 1 - 2 / (math::exp(2 * x) + 1);
}
double sinh(double x) {
  return std::fabs(x) < kTiny ? x + x * x * x / 6 : (math::exp(x) - math::exp(-x)) / 2;
}
double asinh(double x) {
  const double a = std::fabs(x);
  if (a < kTiny) return x - x * x * x / 6;
  const double y = a > 1e9 ? math::log(a) + math::log(2.0) : math::log(a + std::sqrt(a * a + 1));
  return std::copysign(y, x);
}
double acosh(double x) {
  return x > 1e9 ? math::log(x) + math::log(2.0) : math::log(x + std::sqrt(x * x - 1));
}
double atanh(double x) {
  return std::fabs(x) < kTiny ? x + x * x * x / 3 : math::log((1 + x) / (1 - x)) / 2;
}
// These two have the precision of f32 for f64 too.
double atan(double x) { return math::atan(static_cast<float>(x)); }
double erf(double x) { return math::erf(static_cast<float>(x)); }

double gelu(double x, double inner) { return 0.5 * x * (1 + inner); }

double activation(const Parameters& p, double x) {
  const double alpha = p.alpha, beta = p.beta;
  switch (p.function) {
    case UnaryFunction::kSilu:
      return x * sigmoid(x);
    case UnaryFunction::kGeluErf:
      return gelu(x, erf(x * 0.70710678118654752));
    case UnaryFunction::kGeluTanh:
      return gelu(x, tanh(0.79788456080286536 * (x + 0.044715 * x * x * x)));
    case UnaryFunction::kGeluQuick:
      return x * sigmoid(1.702 * x);
    case UnaryFunction::kSigmoid:
      return sigmoid(x);
    case UnaryFunction::kRelu:
      return x < 0 ? 0 : x;
    case UnaryFunction::kSoftplus:
      return softplus(x);
    case UnaryFunction::kHardSwish:
      return x * std::fmin(std::fmax(x / 6 + 0.5, 0), 1);
    case UnaryFunction::kSoftsign:
      return x / (1 + std::fabs(x));
    case UnaryFunction::kMish:
      return x * tanh(softplus(x));
    case UnaryFunction::kElu:
      return x < 0 ? alpha * expm1(x) : x;
    case UnaryFunction::kSelu:
      return beta * (x > 0 ? x : alpha * expm1(x));
    case UnaryFunction::kCelu:
      return x < 0 ? alpha * expm1(x / alpha) : x;
    case UnaryFunction::kHardSigmoid:
      return std::fmin(std::fmax(alpha * x + beta, 0), 1);
    case UnaryFunction::kLeakyRelu:
      return x < 0 ? alpha * x : x;
    case UnaryFunction::kThresholdedRelu:
      return x > alpha ? x : 0;
    case UnaryFunction::kShrink:
      return x < -alpha ? x + beta : x > alpha ? x - beta : 0;
    case UnaryFunction::kSwish:
      return x * sigmoid(alpha * x);
    default:
      return x;
  }
}

double real_function(const Parameters& p, double x) {
  switch (p.function) {
    case UnaryFunction::kTanh:
      return tanh(x);
    case UnaryFunction::kExp:
      return math::exp(x);
    case UnaryFunction::kErf:
      return erf(x);
    case UnaryFunction::kSqrt:
      return std::sqrt(x);
    case UnaryFunction::kReciprocal:
      return 1 / x;
    case UnaryFunction::kNeg:
      return -x;
    case UnaryFunction::kAbs:
      return std::fabs(x);
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
    case UnaryFunction::kRound:
      return std::nearbyint(x);
    case UnaryFunction::kTan:
      return math::sin(x) / math::cos(x);
    case UnaryFunction::kAsin:
      return atan(x / std::sqrt((1 - x) * (1 + x)));
    case UnaryFunction::kAcos:
      return 2 * atan(std::sqrt((1 - x) / (1 + x)));
    case UnaryFunction::kAtan:
      return atan(x);
    case UnaryFunction::kSinh:
      return sinh(x);
    case UnaryFunction::kCosh:
      return (math::exp(x) + math::exp(-x)) / 2;
    case UnaryFunction::kAsinh:
      return asinh(x);
    case UnaryFunction::kAcosh:
      return acosh(x);
    case UnaryFunction::kAtanh:
      return atanh(x);
    case UnaryFunction::kSign:
      return x > 0 ? 1 : x < 0 ? -1 : x;
    default:
      return activation(p, x);
  }
}

bool is_whole_function(UnaryFunction function) {
  switch (function) {
    case UnaryFunction::kIdentity:
    case UnaryFunction::kNeg:
    case UnaryFunction::kAbs:
    case UnaryFunction::kSign:
    case UnaryFunction::kRelu:
    case UnaryFunction::kBitwiseNot:
    case UnaryFunction::kFloor:
    case UnaryFunction::kCeil:
    case UnaryFunction::kRound:
      return true;
    default:
      return false;
  }
}

// Of integers; `negative`: below zero, which no u64 is.
std::uint64_t whole_function(UnaryFunction function, std::uint64_t x, bool negative) {
  switch (function) {
    case UnaryFunction::kNeg:
      return 0 - x;
    case UnaryFunction::kAbs:
      return negative ? 0 - x : x;
    case UnaryFunction::kSign:
      return negative ? ~std::uint64_t{0} : x != 0;
    case UnaryFunction::kRelu:
      return negative ? 0 : x;
    case UnaryFunction::kBitwiseNot:
      return ~x;
    default:
      return x;
  }
}

// Below zero factor * (exp(x / width) - 1), else slope * x. Near zero the difference would cancel:
// there the series stands in, whose terms from x^7 on are below f32's precision.
void map_elu(const kernels::RowKernels& rows, float factor, float width, float slope,
             const float* x, std::int64_t count, float* y) {
  constexpr std::int64_t kTogether = 256;
  constexpr float kNear = 0.25f;
  float exponents[kTogether], powers[kTogether];
  for (std::int64_t done = 0; done < count; done += kTogether, x += kTogether, y += kTogether) {
    const std::int64_t some = std::min(kTogether, count - done);
    for (std::int64_t i = 0; i < some; ++i) exponents[i] = x[i] / width;
    rows.map(kernels::Function::kExp, exponents, some, powers);
    for (std::int64_t i = 0; i < some; ++i) {
      const float e = exponents[i];
      const float series = e * (1 + e / 2 * (1 + e / 3 * (1 + e / 4 * (1 + e / 5 * (1 + e / 6)))));
      const float below = factor * (e > -kNear ? series : powers[i] - 1);
      y[i] = x[i] < 0 ? below : slope * x[i];
    }
  }
}

void map_leaky(const kernels::RowKernels& rows, float slope, const float* x, std::int64_t count,
               float* y) {
  constexpr std::int64_t kTogether = 256;
  float slopes[kTogether];
  std::fill_n(slopes, kTogether, slope);
  for (std::int64_t i = 0; i < count; i += kTogether)
    rows.pair(kernels::Pair::kLeaky, x + i, slopes, std::min(kTogether, count - i), y + i);
}

// Activations in f32.
bool map_simple(const kernels::RowKernels& rows, const Parameters& p, const float* x,
                std::int64_t count, float* y) {
  const float alpha = p.alpha, beta = p.beta;
  switch (p.function) {
    case UnaryFunction::kElu:
      map_elu(rows, alpha, 1, 1, x, count, y);
      return true;
    case UnaryFunction::kSelu:
      map_elu(rows, alpha * beta, 1, beta, x, count, y);
      return true;
    case UnaryFunction::kCelu:
      map_elu(rows, alpha, alpha, 1, x, count, y);
      return true;
    case UnaryFunction::kLeakyRelu:
      map_leaky(rows, alpha, x, count, y);
      return true;
    case UnaryFunction::kHardSigmoid:
      for (std::int64_t i = 0; i < count; ++i) {
        const float v = alpha * x[i] + beta;
        y[i] = v < 0 ? 0.0f : v > 1 ? 1.0f : v;
      }
      return true;
    case UnaryFunction::kFloor:
      for (std::int64_t i = 0; i < count; ++i) y[i] = std::floor(x[i]);
      return true;
    case UnaryFunction::kCeil:
      for (std::int64_t i = 0; i < count; ++i) y[i] = std::ceil(x[i]);
      return true;
    default:
      return false;
  }
}

Status run_predicate(Call& call) {
  const Value& x = *call.inputs[0];
  auto* y = data_of<std::uint8_t>(*call.outputs[0]);
  const Op op = call.instruction.op;
  const bool below = call.instruction.integer("detect_negative", 1) != 0;
  const bool above = call.instruction.integer("detect_positive", 1) != 0;
  const bool negates = parameters_of(call).function == UnaryFunction::kNot && op == Op::kUnary;
  over_each(call.machine, x.count(), 4, [&](std::int64_t i) {
    const double v = element<double>(x, i);
    if (op == Op::kIsInf) {
      y[i] = std::isinf(v) && (v < 0 ? below : above);
    } else {
      y[i] = negates ? v == 0 : std::isnan(v);
    }
  });
  return ok();
}

Status run_unary(Call& call) {
  const Value& x = *call.inputs[0];
  Value& y = *call.outputs[0];
  const Parameters p = parameters_of(call);
  if (p.function == UnaryFunction::kNot || p.function == UnaryFunction::kIsNan)
    return run_predicate(call);
  if (family_of(x.type) != Family::kReal) {
    if (!is_whole_function(p.function)) return unsupported("this function is of floats");
    const bool is_signed = x.type != Type::kU64;
    over_each(call.machine, x.count(), 4, [&](std::int64_t i) {
      const auto v = element<std::uint64_t>(x, i);
      set_element(y, i, whole_function(p.function, v, is_signed && (v >> 63) != 0));
    });
    return ok();
  }
  if (p.function == UnaryFunction::kBitwiseNot) return unsupported("BitwiseNot takes integers");
  const bool f32 = x.type == Type::kF32;
  const auto kernel = f32 ? kernel_function(p.function) : std::nullopt;
  over_pieces(call, x.count(), [&](std::int64_t from, std::int64_t count) {
    if (kernel) {
      call.machine.rows.map(*kernel, x.floats() + from, count, y.floats() + from);
    } else if (!f32 ||
               !map_simple(call.machine.rows, p, x.floats() + from, count, y.floats() + from)) {
      for (std::int64_t i = from; i < from + count; ++i)
        set_element(y, i, real_function(p, element<double>(x, i)));
    }
  });
  return ok();
}

Status run_gated(Call& call) {
  const auto function = kernel_function(parameters_of(call).function);
  const Value& gate = *call.inputs[0];
  const Value& up = *call.inputs[1];
  if (!function) return unsupported("this function has no gated form");
  over_pieces(call, gate.count(), [&](std::int64_t from, std::int64_t count) {
    call.machine.rows.gated(*function, gate.floats() + from, up.floats() + from, count,
                            call.outputs[0]->floats() + from);
  });
  return ok();
}

Status shape_is_inf(const Call& call, std::vector<Dims>& results) {
  THIMBLE_TRY(demand(call.outputs[0]->type == Type::kBool, "IsInf gives bool"));
  return shape_same(call, results);
}

Status shape_clip(const Call& call, std::vector<Dims>& results) {
  const Value& x = *call.inputs[0];
  for (std::size_t i = 1; i < call.inputs.size(); ++i) {
    const Value* bound = call.inputs[i];
    THIMBLE_TRY(demand(bound == nullptr || (bound->type == x.type && bound->count() == 1),
                       "Clip's bounds are one number each, of the input's type"));
  }
  THIMBLE_TRY(demand(call.outputs[0]->type == x.type, "Clip keeps the type"));
  return shape_same(call, results);
}

template <class W>
void clip(Call& call) {
  const Value &x = *call.inputs[0], *low = input_at(call, 1), *high = input_at(call, 2);
  Value& y = *call.outputs[0];
  over_each(call.machine, x.count(), 8, [&](std::int64_t i) {
    W v = element<W>(x, i);
    if (low != nullptr && v < element<W>(*low, 0)) v = element<W>(*low, 0);
    if (high != nullptr && v > element<W>(*high, 0)) v = element<W>(*high, 0);
    set_element(y, i, v);
  });
}

Status run_clip(Call& call) {
  const Value &x = *call.inputs[0], *low = input_at(call, 1), *high = input_at(call, 2);
  if (x.type != Type::kF32) {
    return with_family(x.type, [&](auto zero) {
      clip<decltype(zero)>(call);
      return ok();
    });
  }
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const float least = low != nullptr ? *low->floats() : -kInfinity;
  const float most = high != nullptr ? *high->floats() : kInfinity;
  over_pieces(call, x.count(), [&](std::int64_t from, std::int64_t count) {
    const float* in = x.floats() + from;
    float* out = call.outputs[0]->floats() + from;
    for (std::int64_t i = 0; i < count; ++i) {
      const float v = in[i] < least ? least : in[i];
      out[i] = v > most ? most : v;
    }
  });
  return ok();
}

}  // namespace

std::span<const Operator> unary_operators() {
  static constexpr Operator kOperators[] = {
      {Op::kUnary, run_unary, nullptr, shape_same},
      {Op::kGatedUnary, run_gated, nullptr, shape_same},
      {Op::kIsInf, run_predicate, nullptr, shape_is_inf},
      {Op::kClip, run_clip, nullptr, shape_clip},
  };
  return kOperators;
}

}  // namespace thimble::runtime

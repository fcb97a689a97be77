// Arithmetic of every type against values worked out by hand or in f64.

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "unit/runtime/run_program.h"

using namespace thimble;
using program::BinaryFunction;
using program::Op;
using program::Type;
using program::UnaryFunction;
using test::ints;
using test::OneOp;
using test::real;
using Bytes = std::vector<std::uint8_t>;
using Floats = std::vector<float>;
using Ints = std::vector<std::int32_t>;
using Longs = std::vector<std::int64_t>;

namespace {

program::Attribute text(std::string name, std::string value) {
  return {std::move(name), {}, {}, std::move(value)};
}

template <class T, class R = T>
std::vector<R> binary(Type type, const std::vector<T>& a, const std::vector<T>& b,
                      BinaryFunction function) {
  const auto count = static_cast<std::int64_t>(a.size());
  const Type result = program::is_predicate(function) ? Type::kBool : type;
  OneOp op;
  op.with(type, {count}, a).with(type, {count}, b);
  return op.run<R>(Op::kBinary, result, {count},
                   {ints("function", {static_cast<std::int64_t>(function)})});
}

Bytes cast_to(Type type, const Floats& x, std::vector<program::Attribute> attributes = {}) {
  const auto count = static_cast<std::int64_t>(x.size());
  return OneOp()
      .with(Type::kF32, {count}, x)
      .run<std::uint8_t>(Op::kCast, type, {count}, std::move(attributes));
}

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

}  // namespace

TEST_CASE("whole numbers of any width wrap around, divide towards zero, shift") {
  CHECK(binary<std::uint8_t>(Type::kU8, {200, 3}, {100, 4}, BinaryFunction::kAdd) == Bytes{44, 7});
  CHECK(binary<std::int8_t>(Type::kI8, {-128, 7}, {-1, -2}, BinaryFunction::kDiv) ==
        std::vector<std::int8_t>{-128, -3});
  CHECK(binary<std::int16_t>(Type::kI16, {-7, 7}, {3, -3}, BinaryFunction::kMod) ==
        std::vector<std::int16_t>{2, -2});
  CHECK(binary<std::int16_t>(Type::kI16, {-7, 7}, {3, -3}, BinaryFunction::kFmod) ==
        std::vector<std::int16_t>{-1, 1});
  const std::uint64_t top = std::uint64_t{1} << 63;
  CHECK(binary<std::uint64_t, std::uint8_t>(Type::kU64, {top, 1}, {1, 1},
                                            BinaryFunction::kGreater) == Bytes{1, 0});
  CHECK(binary<std::uint64_t>(Type::kU64, {top, 1}, {3, 63}, BinaryFunction::kDiv) ==
        std::vector<std::uint64_t>{top / 3, 0});
  CHECK(binary<std::uint16_t>(Type::kU16, {1, 0x8001}, {15, 1}, BinaryFunction::kShiftLeft) ==
        std::vector<std::uint16_t>{0x8000, 2});
  CHECK(binary<std::uint32_t>(Type::kU32, {0x80000000u, 5}, {31, 64},
                              BinaryFunction::kShiftRight) == std::vector<std::uint32_t>{1, 0});
  CHECK(binary<std::int64_t>(Type::kI64, {-3, 2}, {3, 62}, BinaryFunction::kPow) ==
        Longs{-27, std::int64_t{1} << 62});
  CHECK(binary<double>(Type::kF64, {-1.5, 7.5}, {1, -2}, BinaryFunction::kMod) ==
        std::vector<double>{0.5, -0.5});
  const Status zero = OneOp()
                          .with(Type::kI32, {1}, Ints{1})
                          .with(Type::kI32, {1}, Ints{0})
                          .try_run(Op::kBinary, Type::kI32, {1}, {ints("function", {3})});
  REQUIRE_FALSE(zero.has_value());
  CHECK(zero.error().message == "division by zero");
}

TEST_CASE("squares of f32 are rounded once") {
  const float x = 1.0f + 0x1p-12f;
  const Floats squares = OneOp()
                             .with(Type::kF32, {2, 3}, Floats{x, -3, 1e30f, -0.0f, kInfinity, kNan})
                             .with(Type::kF32, {1}, Floats{2})
                             .run<float>(Op::kBinary, Type::kF32, {2, 3}, {ints("function", {6})});
  CHECK(Floats(squares.begin(), squares.begin() + 5) == Floats{x * x, 9, kInfinity, 0, kInfinity});
  CHECK(std::isnan(squares[5]));
  // The exponent may have more dimensions than what it raises.
  CHECK(OneOp()
            .with(Type::kF32, {2}, Floats{3, 4})
            .with(Type::kF32, {1, 1}, Floats{2})
            .run<float>(Op::kBinary, Type::kF32, {1, 2}, {ints("function", {6})}) == Floats{9, 16});
}

TEST_CASE("whole numbers to a real power") {
  CHECK(OneOp()
            .with(Type::kI32, {3}, Ints{1, 2, 9})
            .with(Type::kF32, {3}, Floats{4, 5, 3})
            .run<std::int32_t>(Op::kBinary, Type::kI32, {3}, {ints("function", {6})}) ==
        Ints{1, 32, 729});
}

TEST_CASE("broadcast along the middle, on both sides, by several threads") {
  const std::int64_t outer = 3, channels = 5, inner = 700;
  Floats x(static_cast<std::size_t>(outer * channels * inner)), bias;
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 101);
  for (int c = 0; c < channels; ++c) bias.push_back(static_cast<float>(1000 * c));
  OneOp op;
  op.with(Type::kF32, {channels, 1}, bias).with(Type::kF32, {outer, channels, inner}, x);
  const Floats y =
      op.run<float>(Op::kBinary, Type::kF32, {outer, channels, inner}, {ints("function", {1})});
  for (std::size_t i = 0; i < x.size(); ++i) REQUIRE(y[i] == bias[i / inner % channels] - x[i]);
}

TEST_CASE("functions of one value against f64") {
  struct Row {
    UnaryFunction function;
    std::function<double(double)> expected;
    float low, high;
    float alpha = 0, beta = 0;
  };
  const Row rows[] = {
      {UnaryFunction::kTan, [](double x) { return std::tan(x); }, -1.5f, 1.5f},
      {UnaryFunction::kAsin, [](double x) { return std::asin(x); }, -1, 1},
      {UnaryFunction::kAcos, [](double x) { return std::acos(x); }, -1, 1},
      {UnaryFunction::kAtan, [](double x) { return std::atan(x); }, -9, 9},
      {UnaryFunction::kSinh, [](double x) { return std::sinh(x); }, -9, 9},
      {UnaryFunction::kCosh, [](double x) { return std::cosh(x); }, -9, 9},
      {UnaryFunction::kAsinh, [](double x) { return std::asinh(x); }, -9, 9},
      {UnaryFunction::kAcosh, [](double x) { return std::acosh(x); }, 1, 9},
      {UnaryFunction::kAtanh, [](double x) { return std::atanh(x); }, -0.99f, 0.99f},
      {UnaryFunction::kSoftsign, [](double x) { return x / (1 + std::fabs(x)); }, -9, 9},
      {UnaryFunction::kMish, [](double x) { return x * std::tanh(std::log1p(std::exp(x))); }, -9,
       9},
      {UnaryFunction::kElu, [](double x) { return x < 0 ? 2 * std::expm1(x) : x; }, -9, 9, 2},
      {UnaryFunction::kSelu, [](double x) { return 3 * (x < 0 ? 2 * std::expm1(x) : x); }, -9, 9, 2,
       3},
      {UnaryFunction::kCelu, [](double x) { return x < 0 ? 2 * std::expm1(x / 2) : x; }, -9, 9, 2},
      {UnaryFunction::kHardSigmoid, [](double x) { return std::clamp(x / 4 + 0.5, 0.0, 1.0); }, -9,
       9, 0.25f, 0.5f},
      {UnaryFunction::kLeakyRelu, [](double x) { return x < 0 ? x / 8 : x; }, -9, 9, 0.125f},
      {UnaryFunction::kThresholdedRelu, [](double x) { return x > 2 ? x : 0; }, -9, 9, 2},
      {UnaryFunction::kShrink, [](double x) { return x < -2  ? x + 1
                                                     : x > 2 ? x - 1
                                                             : 0; }, -9, 9,
       2, 1},
      {UnaryFunction::kSwish, [](double x) { return x / (1 + std::exp(-2 * x)); }, -9, 9, 2},
  };
  for (const Row& row : rows) {
    Floats x;
    for (int i = 0; i <= 50; ++i)
      x.push_back(row.low + (row.high - row.low) * static_cast<float>(i) / 50);
    const Floats y = OneOp()
                         .with(Type::kF32, {51}, x)
                         .run<float>(Op::kUnary, Type::kF32, {51},
                                     {ints("function", {static_cast<std::int64_t>(row.function)}),
                                      {"alpha", {}, {row.alpha}, {}},
                                      {"beta", {}, {row.beta}, {}}});
    for (std::size_t i = 0; i < x.size(); ++i) {
      INFO("function " << static_cast<int>(row.function) << " of " << x[i]);
      CHECK(y[i] == Approx(row.expected(static_cast<double>(x[i]))).epsilon(2e-6).margin(1e-6));
    }
  }
}

TEST_CASE("questions about floats, and clipping") {
  const Floats x = {1, kNan, -kInfinity, kInfinity};
  const auto function = ints("function", {static_cast<std::int64_t>(UnaryFunction::kIsNan)});
  CHECK(OneOp()
            .with(Type::kF32, {4}, x)
            .run<std::uint8_t>(Op::kUnary, Type::kBool, {4}, {function}) == Bytes{0, 1, 0, 0});
  CHECK(OneOp()
            .with(Type::kF32, {4}, x)
            .run<std::uint8_t>(Op::kIsInf, Type::kBool, {4}, {ints("detect_negative", {0})}) ==
        Bytes{0, 0, 0, 1});
  CHECK(OneOp()
            .with(Type::kF32, {4}, Floats{-5, 0, 5, 9})
            .with(Type::kF32, {}, Floats{-1})
            .with(Type::kF32, {}, Floats{6})
            .run<float>(Op::kClip, Type::kF32, {4}) == Floats{-1, 0, 5, 6});
  CHECK(OneOp()
            .with(Type::kI8, {2}, std::vector<std::int8_t>{-100, 100})
            .with(Type::kI8, {}, std::vector<std::int8_t>{-7})
            .run<std::int8_t>(Op::kClip, Type::kI8, {2}) == std::vector<std::int8_t>{-7, 100});
}

TEST_CASE("sums, means, least and largest of any number of values") {
  const Floats column = {1, 8}, row = {2, 4, 6}, one = {3};
  const auto run = [&](Op which) {
    OneOp op;
    op.with(Type::kF32, {2, 1}, column).with(Type::kF32, {3}, row).with(Type::kF32, {}, one);
    return op.run<float>(which, Type::kF32, {2, 3});
  };
  CHECK(run(Op::kSum) == Floats{6, 8, 10, 13, 15, 17});
  CHECK(run(Op::kMean)[1] == Approx(8.0 / 3));
  CHECK(run(Op::kMin) == Floats{1, 1, 1, 2, 3, 3});
  CHECK(run(Op::kMax) == Floats{3, 4, 6, 8, 8, 8});
}

TEST_CASE("casts to narrow floats round to nearest, saturate or not") {
  const Floats x = {0.0f, 1.0f, 1.0625f, 448, 464, 465, kInfinity, -kInfinity, 0x1p-9f, 0x1p-11f};
  CHECK(cast_to(Type::kF8E4M3FN, x) ==
        Bytes{0, 0x38, 0x38, 0x7e, 0x7e, 0x7e, 0x7e, 0xfe, 0x01, 0x00});
  CHECK(cast_to(Type::kF8E4M3FN, {465, -kInfinity, kNan}, {ints("saturate", {0})}) ==
        Bytes{0x7f, 0xff, 0x7f});
  CHECK(cast_to(Type::kF8E5M2, {1e6f, -kInfinity}, {ints("saturate", {0})}) == Bytes{0x7c, 0xfc});
  CHECK(cast_to(Type::kF8E5M2FNUZ, {-0.0f, kNan, 1.0f}) == Bytes{0, 0x80, 0x40});
  CHECK(cast_to(Type::kF8E4M3FNUZ, {1.0f, 240, 1e6f}) == Bytes{0x40, 0x7f, 0x7f});
  CHECK(cast_to(Type::kF4E2M1, {0.5f, 5.0f, -100, 2.5f, 0.25f}) == Bytes{1, 6, 15, 4, 0});
  CHECK(cast_to(Type::kF8E8M0, {1, 1.5f, 2}) == Bytes{127, 128, 128});
  CHECK(cast_to(Type::kF8E8M0, {1, 1.25f, 1.5f}, {text("round_mode", "nearest")}) ==
        Bytes{127, 127, 128});
  CHECK(cast_to(Type::kF8E8M0, {1, 1.9f}, {text("round_mode", "down")}) == Bytes{127, 127});
}

TEST_CASE("every code of a narrow float survives the way to f32 and back") {
  for (const Type type : {Type::kF8E4M3FN, Type::kF8E4M3FNUZ, Type::kF8E5M2, Type::kF8E5M2FNUZ,
                          Type::kF8E8M0, Type::kF4E2M1}) {
    const std::int64_t count = type == Type::kF4E2M1 ? 16 : 256;
    Bytes codes;
    for (std::int64_t i = 0; i < count; ++i) codes.push_back(static_cast<std::uint8_t>(i));
    const Floats numbers =
        OneOp().with(type, {count}, codes).run<float>(Op::kCast, Type::kF32, {count});
    const Bytes back = cast_to(type, numbers, {ints("saturate", {0})});
    for (std::size_t i = 0; i < codes.size(); ++i) {
      INFO("type " << static_cast<int>(type) << " code " << i << " is " << numbers[i]);
      if (!std::isnan(numbers[i])) CHECK(back[i] == codes[i]);
    }
  }
}

TEST_CASE("casts to integers truncate and wrap around") {
  CHECK(cast_to(Type::kU4, {-9, 3.9f, 16}) == Bytes{7, 3, 0});
  CHECK(cast_to(Type::kI4, {-9, -1, 7.5f}) == Bytes{7, 0xff, 7});
  CHECK(cast_to(Type::kI2, {1, 2, -3}) == Bytes{1, 0xfe, 1});
  CHECK(cast_to(Type::kBool, {0, 0.5f, kNan}) == Bytes{0, 1, 1});
  CHECK(OneOp()
            .with(Type::kU64, {1}, std::vector<std::uint64_t>{std::uint64_t{3} << 62})
            .run<float>(Op::kCast, Type::kF32, {1}) == Floats{0x3p62f});
  CHECK(
      OneOp().with(Type::kF32, {1}, Floats{1}).run<std::uint32_t>(Op::kBitCast, Type::kU32, {1}) ==
      std::vector<std::uint32_t>{0x3f800000});
}

TEST_CASE("quantization per tensor, per axis, in blocks") {
  const Floats x = {0, 1, 2.5f, 1000, -1000, 5};
  CHECK(OneOp()
            .with(Type::kF32, {6}, x)
            .with(Type::kF32, {}, Floats{0.5f})
            .with(Type::kU8, {}, Bytes{10})
            .run<std::uint8_t>(Op::kQuantizeLinear, Type::kU8, {6}) ==
        Bytes{10, 12, 15, 255, 0, 20});
  CHECK(OneOp()
            .with(Type::kF32, {2, 3}, x)
            .with(Type::kF32, {3}, Floats{1, 2, 5})
            .run<std::int8_t>(Op::kQuantizeLinear, Type::kI8, {2, 3}, {ints("axis", {-1})}) ==
        std::vector<std::int8_t>{0, 0, 0, 127, -128, 1});
  CHECK(OneOp()
            .with(Type::kI4, {2, 3}, std::vector<std::int8_t>{1, 2, 3, -8, 7, 6})
            .with(Type::kF32, {2, 2}, Floats{1, 2, 3, 4})
            .with(Type::kI4, {2, 2}, std::vector<std::int8_t>{0, 1, -1, 0})
            .run<float>(Op::kDequantizeLinear, Type::kF32, {2, 3},
                        {ints("axis", {1}), ints("block_size", {2})}) ==
        Floats{1, 2, 4, -21, 24, 24});
  CHECK_FALSE(OneOp()
                  .with(Type::kF32, {2, 3}, x)
                  .with(Type::kF32, {4}, Floats{1, 2, 5, 1})
                  .try_run(Op::kQuantizeLinear, Type::kI8, {2, 3})
                  .has_value());
}

TEST_CASE("reductions of any type over any axes, and of nothing") {
  const Longs x = {1, 2, 3, 4, 5, 6};
  const auto reduce = [&](const std::string& function, const Longs& axes,
                          const std::vector<std::int64_t>& dims) {
    return OneOp()
        .with(Type::kI64, {1, 2, 3}, x)
        .with(Type::kI64, {1}, axes)
        .run<std::int64_t>(Op::kReduceOver, Type::kI64, dims, {text("function", function)});
  };
  CHECK(reduce("ReduceProd", {1}, {1, 1, 3}) == Longs{4, 10, 18});
  CHECK(reduce("ReduceSumSquare", {-1}, {1, 2, 1}) == Longs{14, 77});
  CHECK(reduce("ReduceMax", {0}, {1, 2, 3}) == x);
  const auto real_reduce = [&](const std::string& function) {
    return OneOp()
        .with(Type::kF32, {2, 2}, Floats{3, -4, 1000, 1001})
        .with(Type::kI64, {1}, Longs{1})
        .run<float>(Op::kReduceOver, Type::kF32, {2},
                    {text("function", function), ints("keepdims", {0})});
  };
  CHECK(real_reduce("ReduceL1") == Floats{7, 2001});
  CHECK(real_reduce("ReduceL2")[0] == 5);
  CHECK(real_reduce("ReduceLogSumExp")[1] == Approx(1001 + std::log1p(std::exp(-1.0))));
  const auto nothing = [&](const std::string& function) {
    return OneOp()
        .with(Type::kF32, {0, 2}, Floats{})
        .with(Type::kI64, {1}, Longs{0})
        .run<float>(Op::kReduceOver, Type::kF32, {1, 2}, {text("function", function)})[1];
  };
  CHECK(nothing("ReduceSum") == 0);
  CHECK(nothing("ReduceProd") == 1);
  CHECK(nothing("ReduceMin") == kInfinity);
  CHECK(nothing("ReduceLogSumExp") == -kInfinity);
}

TEST_CASE("softmaxes along any axis") {
  const Floats x = {1, 2, 3, 4, 2, 3};
  const auto along = [&](Op op, std::int64_t axis) {
    return OneOp()
        .with(Type::kF32, {2, 3}, x)
        .run<float>(op, Type::kF32, {2, 3}, {ints("axis", {axis})});
  };
  const double ratio = std::exp(1.0) + std::exp(4.0);
  CHECK(along(Op::kSoftmax, 0)[0] == Approx(std::exp(1.0) / ratio));
  CHECK(along(Op::kLogSoftmax, 0)[3] == Approx(4 - std::log(ratio)));
  CHECK(along(Op::kHardmax, 1) == Floats{0, 0, 1, 1, 0, 0});
  CHECK(along(Op::kHardmax, 0) == Floats{0, 1, 1, 1, 0, 0});
}

TEST_CASE("the place of the largest, and the few largest") {
  const Floats x = {3, 1, 3, 2, 5, 4};
  const auto arg = [&](Op op, std::int64_t last) {
    return OneOp()
        .with(Type::kF32, {2, 3}, x)
        .run<std::int64_t>(op, Type::kI64, {2, 1},
                           {ints("axis", {1}), ints("select_last_index", {last})});
  };
  CHECK(arg(Op::kArgMax, 0) == Longs{0, 1});
  CHECK(arg(Op::kArgMax, 1) == Longs{2, 1});
  CHECK(arg(Op::kArgMin, 0) == Longs{1, 0});
  CHECK(OneOp()
            .with(Type::kF32, {2, 3}, x)
            .with(Type::kI64, {1}, Longs{2})
            .run<float>(Op::kTopK, Type::kF32, {2, 2}) == Floats{3, 3, 5, 4});
  CHECK(OneOp()
            .with(Type::kF32, {3}, Floats{kNan, 1, 2})
            .with(Type::kI64, {1}, Longs{2})
            .run<float>(Op::kTopK, Type::kF32, {2}, {ints("largest", {0})}) == Floats{1, 2});
  CHECK_FALSE(OneOp()
                  .with(Type::kF32, {2, 3}, x)
                  .with(Type::kI64, {1}, Longs{4})
                  .try_run(Op::kTopK, Type::kF32, {2, 4})
                  .has_value());
}

TEST_CASE("running sums and products") {
  const Longs x = {1, 2, 3};
  const auto run = [&](Op op, std::int64_t exclusive, std::int64_t reverse) {
    return OneOp()
        .with(Type::kI64, {3}, x)
        .with(Type::kI64, {}, Longs{0})
        .run<std::int64_t>(op, Type::kI64, {3},
                           {ints("exclusive", {exclusive}), ints("reverse", {reverse})});
  };
  CHECK(run(Op::kCumSumAlong, 0, 0) == Longs{1, 3, 6});
  CHECK(run(Op::kCumSumAlong, 1, 0) == Longs{0, 1, 3});
  CHECK(run(Op::kCumSumAlong, 0, 1) == Longs{6, 5, 3});
  CHECK(run(Op::kCumProd, 1, 1) == Longs{6, 3, 1});
}

TEST_CASE("Gemm: transposes, factors, a bias of any shape") {
  // A [2, 3], B [3, 2].
  const Floats a = {1, 2, 3, 4, 5, 6}, turned_a = {1, 4, 2, 5, 3, 6};
  const Floats b = {1, 0, 0, 1, 1, 1}, turned_b = {1, 0, 1, 0, 1, 1};
  const Floats column = {10, 20};
  for (const bool ta : {false, true}) {
    for (const bool tb : {false, true}) {
      OneOp op;  // `column` and the factors outlive it
      op.with(Type::kF32, ta ? std::vector<std::int64_t>{3, 2} : std::vector<std::int64_t>{2, 3},
              ta ? turned_a : a);
      op.with(Type::kF32, tb ? std::vector<std::int64_t>{2, 3} : std::vector<std::int64_t>{3, 2},
              tb ? turned_b : b);
      op.with(Type::kF32, {2, 1}, column);
      CHECK(op.run<float>(Op::kGemm, Type::kF32, {2, 2},
                          {ints("transA", {ta}), ints("transB", {tb}), real("alpha", 2),
                           real("beta", 0.5f)}) == Floats{13, 15, 30, 32});
    }
  }
}

TEST_CASE("Gemm of nothing is its bias") {
  CHECK(OneOp()
            .with(Type::kF32, {2, 0}, Floats{})
            .with(Type::kF32, {2, 0}, Floats{})
            .with(Type::kF32, {2}, Floats{3, 4})
            .run<float>(Op::kGemm, Type::kF32, {2, 2}, {ints("transB", {1})}) ==
        Floats{3, 4, 3, 4});
}

TEST_CASE("products of integers") {
  CHECK(OneOp()
            .with(Type::kI32, {3}, Ints{1, 2, 3})
            .with(Type::kI32, {3, 2}, Ints{1, 2, 3, 4, 5, 6})
            .run<std::int32_t>(Op::kMatMul, Type::kI32, {2}) == Ints{22, 28});
  using SignedBytes = std::vector<std::int8_t>;
  CHECK(OneOp()
            .with(Type::kU8, {2, 2}, Bytes{11, 7, 3, 255})
            .with(Type::kI8, {2, 2}, SignedBytes{1, -1, 2, -128})
            .with(Type::kU8, {2}, Bytes{12, 0})
            .with(Type::kI8, {2}, SignedBytes{0, 1})
            .run<std::int32_t>(Op::kMatMulInteger, Type::kI32, {2, 2}) ==
        Ints{-11, 2 + 5 * 129, 3 + 510, -6 - 255 * 129});
  // (2 * 8 + -8 * -10) / 8 = 12
  CHECK(OneOp()
            .with(Type::kU8, {1, 2}, Bytes{130, 120})
            .with(Type::kF32, {}, Floats{0.5f})
            .with(Type::kU8, {}, Bytes{128})
            .with(Type::kI8, {2, 1}, SignedBytes{9, -9})
            .with(Type::kF32, {}, Floats{0.25f})
            .with(Type::kI8, {}, SignedBytes{1})
            .with(Type::kF32, {}, Floats{1})
            .with(Type::kU8, {}, Bytes{100})
            .run<std::uint8_t>(Op::kQLinearMatMul, Type::kU8, {1, 1}) == Bytes{112});
}

TEST_CASE("Einsum: products of matrices, diagonals, ellipses, implied results") {
  const Floats a = {1, 2, 3, 4}, b = {5, 6, 7, 8};
  const auto two = [&](const std::string& equation, std::vector<std::int64_t> dims) {
    return OneOp()
        .with(Type::kF32, {2, 2}, a)
        .with(Type::kF32, {2, 2}, b)
        .run<float>(Op::kEinsum, Type::kF32, std::move(dims), {text("equation", equation)});
  };
  CHECK(two("ij,jk->ik", {2, 2}) == Floats{19, 22, 43, 50});
  CHECK(two("ij,jk->ki", {2, 2}) == Floats{19, 43, 22, 50});
  CHECK(two("ij,kj", {2, 2}) == Floats{17, 23, 39, 53});
  CHECK(two("bi,bi->b", {2}) == Floats{17, 53});
  CHECK(two("ij,ij->", {}) == Floats{70});
  CHECK(two("...i,...i->...", {2}) == Floats{17, 53});
  CHECK(two("ii,jk->i", {2}) == Floats{26, 104});
  CHECK(OneOp()
            .with(Type::kF32, {2, 2}, a)
            .run<float>(Op::kEinsum, Type::kF32, {2}, {text("equation", "ii->i")}) == Floats{1, 4});
  CHECK_FALSE(OneOp()
                  .with(Type::kF32, {2, 2}, a)
                  .try_run(Op::kEinsum, Type::kF32, {2}, {text("equation", "ij->k")})
                  .has_value());
  for (const bool first : {false, true}) {  // nothing against four
    INFO("first " << first);
    CHECK_FALSE(OneOp()
                    .with(Type::kF32, {first ? 0 : 4}, first ? Floats{} : a)
                    .with(Type::kF32, {first ? 4 : 0}, first ? a : Floats{})
                    .try_run(Op::kEinsum, Type::kF32, {}, {text("equation", "i,i->")})
                    .has_value());
  }
}

TEST_CASE("determinants") {
  CHECK(OneOp()
            .with(Type::kF32, {2, 2, 2}, Floats{0, 1, 2, 3, 1, 2, 2, 4})
            .run<float>(Op::kDet, Type::kF32, {2}) == Floats{-2, 0});
}

TEST_CASE("dynamic quantization") {
  ThreadPool pool(1);
  test::ProgramBuilder b;
  const auto x = b.input("x", Type::kF32, {test::number(4)});
  const auto y = b.activation("y", Type::kU8, {test::number(4)});
  const auto scale = b.activation("scale", Type::kF32, {});
  const auto zero = b.activation("zero", Type::kU8, {});
  b.run(Op::kDynamicQuantizeLinear, {x}, {y, scale, zero});
  for (const auto slot : {y, scale, zero}) b.output(slot);
  const auto session = runtime::Session::create(b.bundle, pool);
  REQUIRE(session.has_value());
  const Floats values = {-1, 0, 1, 1.55f};
  REQUIRE((*session)->run(std::vector{test::view(Type::kF32, {4}, values)}).has_value());
  CHECK(test::copy_of<std::uint8_t>((*session)->outputs()[0]) == Bytes{0, 100, 200, 255});
  CHECK(test::copy_of<float>((*session)->outputs()[1])[0] == Approx(0.01));
  CHECK(test::copy_of<std::uint8_t>((*session)->outputs()[2]) == Bytes{100});
}

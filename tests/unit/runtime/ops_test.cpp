// Each operator against values worked out by hand or in f64.

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "unit/runtime/run_program.h"

using namespace thimble;
using program::Op;
using program::Type;
using test::ints;
using test::OneOp;
using test::real;
using Floats = std::vector<float>;
using Longs = std::vector<std::int64_t>;
using Bools = std::vector<std::uint8_t>;

namespace {

Floats ramp(std::size_t count, float step = 0.37f, float start = -2.0f) {
  Floats out(count);
  for (std::size_t i = 0; i < count; ++i) out[i] = start + step * static_cast<float>(i % 23);
  return out;
}

}  // namespace

TEST_CASE("binary functions broadcast") {
  const Floats a = {1, 2, 3, 4, 5, 6}, row = {10, 20, 30}, column = {100, 200};
  auto binary = [&](const std::vector<std::int64_t>& dims, const Floats& b, std::int64_t function) {
    return OneOp()
        .with(Type::kF32, {2, 3}, a)
        .with(Type::kF32, dims, b)
        .run<float>(Op::kBinary, Type::kF32, {2, 3}, {ints("function", {function})});
  };
  REQUIRE(binary({3}, row, 0) == Floats{11, 22, 33, 14, 25, 36});
  REQUIRE(binary({2, 1}, column, 0) == Floats{101, 102, 103, 204, 205, 206});
  REQUIRE(binary({}, {2}, 2) == Floats{2, 4, 6, 8, 10, 12});
  REQUIRE(binary({2, 3}, a, 1) == Floats{0, 0, 0, 0, 0, 0});
  REQUIRE(binary({1, 1}, {2}, 3) == Floats{0.5f, 1, 1.5f, 2, 2.5f, 3});
  REQUIRE(binary({3}, {2, 2, 2}, 5) == Floats{2, 2, 3, 4, 5, 6});
  REQUIRE(binary({}, {2}, 6)[2] == Approx(9));
  // Both sides are spread.
  REQUIRE(OneOp()
              .with(Type::kF32, {2, 1}, column)
              .with(Type::kF32, {1, 3}, row)
              .run<float>(Op::kBinary, Type::kF32, {2, 3}, {ints("function", {1})}) ==
          Floats{90, 80, 70, 190, 180, 170});
}

TEST_CASE("whole numbers: comparison, division, remainder") {
  const Longs a = {-7, 7, 5}, b = {3, -3, 5};
  auto whole = [&](std::int64_t function) {
    return OneOp()
        .with(Type::kI64, {3}, a)
        .with(Type::kI64, {3}, b)
        .run<std::int64_t>(Op::kBinary, Type::kI64, {3}, {ints("function", {function})});
  };
  REQUIRE(whole(3) == Longs{-2, -2, 1});
  REQUIRE(whole(14) == Longs{2, -2, 0});
  REQUIRE(OneOp()
              .with(Type::kI64, {3}, a)
              .with(Type::kI64, {3}, b)
              .run<std::uint8_t>(Op::kBinary, Type::kBool, {3}, {ints("function", {8})}) ==
          Bools{1, 0, 0});
  const Longs least = {std::numeric_limits<std::int64_t>::min()};
  for (const std::int64_t function : {3, 14}) {
    const auto y =
        OneOp()
            .with(Type::kI64, {1}, least)
            .with(Type::kI64, {1}, Longs{-1})
            .run<std::int64_t>(Op::kBinary, Type::kI64, {1}, {ints("function", {function})});
    REQUIRE(y == (function == 3 ? least : Longs{0}));
  }
  REQUIRE_FALSE(OneOp()
                    .with(Type::kI64, {1}, least)
                    .with(Type::kI64, {1}, Longs{0})
                    .try_run(Op::kBinary, Type::kI64, {1}, {ints("function", {3})}));
}

TEST_CASE("functions of one value") {
  const auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
  const std::pair<std::int64_t, std::function<double(double)>> cases[] = {
      {0, [](double x) { return x; }},
      {1, [&](double x) { return x * sigmoid(x); }},
      {2, [](double x) { return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0))); }},
      {3,
       [](double x) {
         return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
       }},
      {4, [&](double x) { return x * sigmoid(1.702 * x); }},
      {5, [](double x) { return std::tanh(x); }},
      {6, sigmoid},
      {7, [](double x) { return std::max(x, 0.0); }},
      {8, [](double x) { return std::exp(x); }},
      {9, [](double x) { return std::erf(x); }},
      {11, [](double x) { return 1 / x; }},
      {12, [](double x) { return -x; }},
      {13, [](double x) { return std::fabs(x); }},
      {15, [](double x) { return std::sin(x); }},
      {16, [](double x) { return std::cos(x); }},
      {17, [](double x) { return std::floor(x); }},
      {18, [](double x) { return std::ceil(x); }},
      {19, [](double x) { return std::nearbyint(x); }},
      {20, [](double x) { return std::log1p(std::exp(x)); }},
      {21, [](double x) { return x * std::clamp(x / 6 + 0.5, 0.0, 1.0); }},
  };
  const Floats x = ramp(53);
  for (const auto& [function, expected] : cases) {
    const Floats y = OneOp()
                         .with(Type::kF32, {53}, x)
                         .run<float>(Op::kUnary, Type::kF32, {53}, {ints("function", {function})});
    for (std::size_t i = 0; i < x.size(); ++i) {
      INFO("function " << function << " of " << x[i]);
      REQUIRE(y[i] == Approx(expected(static_cast<double>(x[i]))).epsilon(2e-6).margin(1e-6));
    }
  }
  REQUIRE(OneOp()
              .with(Type::kF32, {2}, Floats{4, 9})
              .run<float>(Op::kUnary, Type::kF32, {2}, {ints("function", {10})}) == Floats{2, 3});
  REQUIRE(OneOp()
              .with(Type::kF32, {1}, Floats{1})
              .run<float>(Op::kUnary, Type::kF32, {1}, {ints("function", {14})})[0] == 0.0f);
  REQUIRE(OneOp()
              .with(Type::kBool, {2}, Bools{0, 1})
              .run<std::uint8_t>(Op::kUnary, Type::kBool, {2}, {ints("function", {22})}) ==
          Bools{1, 0});
  REQUIRE(OneOp()
              .with(Type::kI64, {2}, Longs{-4, 3})
              .run<std::int64_t>(Op::kUnary, Type::kI64, {2}, {ints("function", {13})}) ==
          Longs{4, 3});
  const Floats up = ramp(53, 0.2f, 1.0f);
  const Floats gated = OneOp()
                           .with(Type::kF32, {53}, x)
                           .with(Type::kF32, {53}, up)
                           .run<float>(Op::kGatedUnary, Type::kF32, {53}, {ints("function", {1})});
  for (std::size_t i = 0; i < x.size(); ++i)
    REQUIRE(gated[i] == Approx(x[i] * sigmoid(x[i]) * up[i]).epsilon(2e-6));
  REQUIRE(OneOp()
              .with(Type::kF32, {2}, Floats{1, 2})
              .run<float>(Op::kScale, Type::kF32, {2}, {real("factor", 2.5f)}) == Floats{2.5f, 5});
}

TEST_CASE("moving elements") {
  const Floats x = {0, 1, 2, 3, 4, 5};
  REQUIRE(OneOp()
              .with(Type::kF32, {2, 3}, x)
              .run<float>(Op::kTranspose, Type::kF32, {3, 2}, {ints("perm", {1, 0})}) ==
          Floats{0, 3, 1, 4, 2, 5});
  REQUIRE(OneOp().with(Type::kF32, {2, 3}, x).run<float>(Op::kReshape, Type::kF32, {3, 2}) == x);
  REQUIRE(OneOp()
              .with(Type::kF32, {2, 3}, x)
              .with(Type::kF32, {2, 1}, Floats{7, 8})
              .run<float>(Op::kConcat, Type::kF32, {2, 4}, {ints("axis", {1})}) ==
          Floats{0, 1, 2, 7, 3, 4, 5, 8});
  auto slice = [&](std::int64_t start, std::int64_t step, std::int64_t count) {
    return OneOp()
        .with(Type::kF32, {2, 3}, x)
        .run<float>(
            Op::kSlice, Type::kF32, {2, count},
            {ints("starts", {start}), ints("ends", {0}), ints("axes", {1}), ints("steps", {step})});
  };
  REQUIRE(slice(1, 1, 2) == Floats{1, 2, 4, 5});
  REQUIRE(slice(-1, -1, 3) == Floats{2, 1, 0, 5, 4, 3});
  REQUIRE(slice(0, 2, 2) == Floats{0, 2, 3, 5});
  REQUIRE(slice(9, 1, 0).empty());
  REQUIRE(OneOp()
              .with(Type::kI64, {2, 1}, Longs{4, 5})
              .run<std::int64_t>(Op::kExpand, Type::kI64, {2, 3}) == Longs{4, 4, 4, 5, 5, 5});
  REQUIRE(OneOp().run<std::int64_t>(Op::kRange, Type::kI64, {4}) == Longs{0, 1, 2, 3});
  REQUIRE(OneOp()
              .with(Type::kI64, {2, 3}, Longs{1, 0, 1, 1, 1, 1})
              .run<std::int64_t>(Op::kCumSum, Type::kI64, {2, 3}, {ints("axis", {1})}) ==
          Longs{1, 1, 2, 1, 2, 3});
  REQUIRE(OneOp()
              .with(Type::kBool, {2, 1}, Bools{1, 0})
              .with(Type::kI64, {}, Longs{std::int64_t{1} << 60 | 1})
              .with(Type::kI64, {2}, Longs{5, 6})
              .run<std::int64_t>(Op::kWhere, Type::kI64, {2, 2}) ==
          Longs{std::int64_t{1} << 60 | 1, std::int64_t{1} << 60 | 1, 5, 6});
  REQUIRE(OneOp()
              .with(Type::kF32, {4}, Floats{-1.5f, 0, 2.7f, NAN})
              .run<std::int64_t>(Op::kCast, Type::kI64, {4}) == Longs{-1, 0, 2, 0});
  REQUIRE(OneOp()
              .with(Type::kI64, {3}, Longs{-1, 0, 2})
              .run<std::uint8_t>(Op::kCast, Type::kBool, {3}) == Bools{1, 0, 1});
}

TEST_CASE("lookups in tables of every layout") {
  const Longs ids = {1, -1, 0};
  const Floats table = {0, 1, 2, 3, 4, 5};
  REQUIRE(OneOp()
              .with(Type::kF32, {3, 2}, table)
              .with(Type::kI64, {3}, ids)
              .run<float>(Op::kGather, Type::kF32, {3, 2}, {ints("axis", {0})}) ==
          Floats{2, 3, 4, 5, 0, 1});
  REQUIRE(OneOp()
              .with(Type::kF32, {2, 3}, table)
              .with(Type::kI64, {1, 1}, Longs{2})
              .run<float>(Op::kGather, Type::kF32, {2, 1, 1}, {ints("axis", {1})}) == Floats{2, 5});
  std::vector<std::uint16_t> halves;
  for (const float v : table) halves.push_back(float_to_half(v));
  REQUIRE(OneOp()
              .with(Type::kF16, {3, 2}, halves)
              .with(Type::kI64, {1}, Longs{2})
              .run<float>(Op::kGather, Type::kF32, {1, 2}, {ints("axis", {0})}) == Floats{4, 5});
  REQUIRE_FALSE(OneOp()
                    .with(Type::kF32, {3, 2}, table)
                    .with(Type::kI64, {1}, Longs{3})
                    .try_run(Op::kGather, Type::kF32, {1, 2}, {ints("axis", {0})}));
  REQUIRE_FALSE(OneOp()
                    .with(Type::kF32, {3, 2}, table)
                    .with(Type::kI64, {1}, Longs{-4})
                    .try_run(Op::kGather, Type::kF32, {1, 2}, {ints("axis", {0})}));

  test::ProgramBuilder b = test::tiny_linear();
  const std::int32_t i = b.input("ids", Type::kI64, {test::number(2)});
  const std::int32_t y = b.activation("rows", Type::kF32, {test::number(2), test::number(40)});
  b.run(Op::kGather, {1, i}, {y}, {ints("axis", {0})});
  b.region().outputs = {y};
  const Floats x(40, 0.0f);
  const Longs wanted = {19, 3};
  const Floats rows = test::run_once<float>(
      b, {test::view(Type::kF32, {1, 40}, x), test::view(Type::kI64, {2}, wanted)});
  for (std::int64_t k = 0; k < 40; ++k) {
    REQUIRE(rows[static_cast<std::size_t>(k)] ==
            0.25f * static_cast<float>((7 * 19 + 3 * k) % 16 - 8));
    REQUIRE(rows[static_cast<std::size_t>(40 + k)] ==
            0.25f * static_cast<float>((7 * 3 + 3 * k) % 16 - 8));
  }
}

TEST_CASE("sums over axes") {
  const Floats x = {1, -2, 3, 4, 5, 6};
  auto reduce = [&](std::vector<std::int64_t> axes, std::vector<std::int64_t> dims,
                    std::int64_t function) {
    return OneOp()
        .with(Type::kF32, {2, 3}, x)
        .run<float>(Op::kReduce, Type::kF32, dims,
                    {ints("axes", axes), ints("function", {function})});
  };
  REQUIRE(reduce({1}, {2, 1}, 0) == Floats{2, 15});
  REQUIRE(reduce({0}, {3}, 1) == Floats{2.5f, 1.5f, 4.5f});
  REQUIRE(reduce({0, 1}, {}, 2) == Floats{6});
  REQUIRE(reduce({1}, {2}, 3) == Floats{-2, 4});
  REQUIRE(reduce({1}, {2}, 4)[0] == Approx(std::sqrt(14.0)));
  REQUIRE(reduce({1}, {2}, 5) == Floats{-6, 120});
}

TEST_CASE("products") {
  const Floats a = ramp(2 * 3 * 4), b = ramp(4 * 5, 0.11f);
  const Floats y = OneOp()
                       .with(Type::kF32, {2, 3, 4}, a)
                       .with(Type::kF32, {4, 5}, b)
                       .run<float>(Op::kMatMul, Type::kF32, {2, 3, 5});
  for (std::size_t m = 0; m < 6; ++m) {
    for (std::size_t n = 0; n < 5; ++n) {
      double sum = 0;
      for (std::size_t k = 0; k < 4; ++k) sum += static_cast<double>(a[m * 4 + k]) * b[k * 5 + n];
      REQUIRE(y[m * 5 + n] == Approx(sum).epsilon(1e-6).margin(1e-6));
    }
  }
  for (const std::int64_t scheme : {0, 1, 2, 4}) {
    for (const std::int64_t rows : {1, 3}) {
      test::ProgramBuilder linear = test::tiny_linear();
      linear.region().instructions[0].attributes = {ints("activation", {scheme})};
      const Floats x = ramp(static_cast<std::size_t>(rows) * 40);
      const Floats out = test::run_once<float>(linear, {test::view(Type::kF32, {rows, 40}, x)});
      const double tolerance = scheme == 0 ? 1e-4 : scheme == 2 ? 2e-3 : 0.2;
      for (std::int64_t m = 0; m < rows; ++m) {
        for (std::int64_t n = 0; n < 20; ++n) {
          double sum = static_cast<double>(n) / 2;
          for (std::int64_t k = 0; k < 40; ++k)
            sum += 0.25 * static_cast<double>((7 * n + 3 * k) % 16 - 8) *
                   x[static_cast<std::size_t>(m * 40 + k)];
          REQUIRE(std::fabs(out[static_cast<std::size_t>(m * 20 + n)] - sum) < tolerance);
        }
      }
    }
  }
}

TEST_CASE("norms and softmax") {
  const Floats x = ramp(3 * 20), w = ramp(20, 0.05f, 0.7f), c = ramp(20, 0.1f);
  const Floats rms = OneOp()
                         .with(Type::kF32, {3, 20}, x)
                         .with(Type::kF32, {20}, w)
                         .run<float>(Op::kRmsNorm, Type::kF32, {3, 20},
                                     {real("epsilon", 1e-5f), ints("width", {20})});
  const Floats layer = OneOp()
                           .with(Type::kF32, {3, 20}, x)
                           .with(Type::kF32, {20}, w)
                           .with(Type::kF32, {20}, c)
                           .run<float>(Op::kLayerNorm, Type::kF32, {3, 20},
                                       {real("epsilon", 1e-5f), ints("width", {20})});
  const Floats soft = OneOp()
                          .with(Type::kF32, {3, 20}, x)
                          .run<float>(Op::kSoftmax, Type::kF32, {3, 20}, {ints("axis", {1})});
  for (std::size_t row = 0; row < 3; ++row) {
    double squares = 0, mean = 0, variance = 0, total = 0;
    for (std::size_t i = 0; i < 20; ++i) {
      const double v = x[row * 20 + i];
      squares += v * v / 20;
      mean += v / 20;
      total += std::exp(v);
    }
    for (std::size_t i = 0; i < 20; ++i) variance += std::pow(x[row * 20 + i] - mean, 2) / 20;
    for (std::size_t i = 0; i < 20; ++i) {
      const double v = x[row * 20 + i];
      REQUIRE(rms[row * 20 + i] ==
              Approx(v / std::sqrt(squares + 1e-5) * w[i]).epsilon(1e-5).margin(1e-6));
      REQUIRE(
          layer[row * 20 + i] ==
          Approx((v - mean) / std::sqrt(variance + 1e-5) * w[i] + c[i]).epsilon(1e-5).margin(1e-5));
      REQUIRE(soft[row * 20 + i] == Approx(std::exp(v) / total).epsilon(1e-5));
    }
  }
}

TEST_CASE("a norm of a sum is the sum's norm, bit for bit, and gives the sum") {
  const Floats x = ramp(3 * 20), r = ramp(3 * 20, 0.3f, -1), w = ramp(20, 0.05f, 0.7f);
  Floats sum = x;
  for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += r[i];
  for (const Op op : {Op::kRmsNorm, Op::kLayerNorm}) {
    const std::vector<test::p::Attribute> attributes = {real("epsilon", 1e-5f),
                                                        ints("width", {20})};
    const Floats wanted = OneOp()
                              .with(Type::kF32, {3, 20}, sum)
                              .with(Type::kF32, {20}, w)
                              .run<float>(op, Type::kF32, {3, 20}, attributes);
    for (const bool kept : {false, true}) {
      OneOp one;
      one.with(Type::kF32, {3, 20}, x).with(Type::kF32, {20}, w);
      if (op == Op::kLayerNorm) one.slots.push_back(-1);
      one.with(Type::kF32, {3, 20}, r);
      const std::vector<test::p::Size> dims = {test::number(3), test::number(20)};
      std::vector<std::int32_t> results = {one.b.activation("y", Type::kF32, dims)};
      if (kept) results.push_back(one.b.activation("sum", Type::kF32, dims));
      one.b.run(op, one.slots, results, attributes);
      one.b.output(results.back());
      CHECK(test::run_once<float>(one.b, one.views) == (kept ? sum : wanted));
    }
  }
  OneOp narrow;
  narrow.with(Type::kF32, {3, 20}, x).with(Type::kF32, {20}, w).with(Type::kF32, {20}, w);
  CHECK_FALSE(narrow.try_run(Op::kRmsNorm, Type::kF32, {3, 20}, {ints("width", {20})}));
}

TEST_CASE("attention sees the keys that its mask and its order allow") {
  // One head of width 1, equal scores: the mean of the values that are seen.
  const Floats zero(4, 0.0f), values = {1, 2, 4, 8};
  auto attend = [&](std::vector<test::p::Attribute> more, const Bools* mask) {
    OneOp op;
    op.with(Type::kF32, {1, 4, 1}, zero)
        .with(Type::kF32, {1, 4, 1}, zero)
        .with(Type::kF32, {1, 4, 1}, values);
    if (mask != nullptr) op.with(Type::kBool, {1, 1, 1, 4}, *mask);
    more.push_back(ints("q_heads", {1}));
    more.push_back(ints("kv_heads", {1}));
    return op.run<float>(Op::kAttention, Type::kF32, {1, 4, 1}, more);
  };
  REQUIRE(attend({}, nullptr) == Floats{3.75f, 3.75f, 3.75f, 3.75f});
  const Floats causal = attend({ints("causal", {1})}, nullptr);
  REQUIRE(causal[0] == 1.0f);
  REQUIRE(causal[1] == 1.5f);
  REQUIRE(causal[3] == 3.75f);
  REQUIRE(attend({ints("causal", {1}), ints("window", {2})}, nullptr) == Floats{1, 1.5f, 3, 6});
  const Bools mask = {1, 0, 0, 1};
  REQUIRE(attend({}, &mask) == Floats{4.5f, 4.5f, 4.5f, 4.5f});
}

TEST_CASE("shapes that don't fit are refused before anything runs") {
  const Floats six(6, 1.0f);
  REQUIRE_FALSE(OneOp().with(Type::kF32, {6}, six).try_run(Op::kReshape, Type::kF32, {7}));
  REQUIRE_FALSE(OneOp().with(Type::kF32, {6}, six).try_run(Op::kUnary, Type::kF32, {7}));
  REQUIRE_FALSE(OneOp().with(Type::kF32, {6}, six).try_run(Op::kCast, Type::kI64, {7}));
  REQUIRE_FALSE(OneOp()
                    .with(Type::kF32, {2, 3}, six)
                    .try_run(Op::kTranspose, Type::kF32, {3, 2}, {ints("perm", {1, 1})}));
  REQUIRE_FALSE(OneOp().with(Type::kF32, {2, 3}, six).try_run(Op::kExpand, Type::kF32, {2, 4}));
  REQUIRE_FALSE(OneOp()
                    .with(Type::kF32, {6}, six)
                    .with(Type::kF32, {5}, six)
                    .try_run(Op::kBinary, Type::kF32, {6}, {ints("function", {0})}));
  REQUIRE_FALSE(OneOp()
                    .with(Type::kF32, {2, 3}, six)
                    .with(Type::kF32, {2, 3}, six)
                    .try_run(Op::kMatMul, Type::kF32, {2, 3}));
  REQUIRE_FALSE(OneOp()
                    .with(Type::kF32, {2, 3}, six)
                    .try_run(Op::kSlice, Type::kF32, {2, 3},
                             {ints("starts", {1}), ints("ends", {9}), ints("axes", {1}),
                              ints("steps", {1})}));
  REQUIRE_FALSE(OneOp()
                    .with(Type::kF32, {6}, six)
                    .try_run(Op::kRmsNorm, Type::kF32, {6}, {ints("width", {4})}));
}

// Products of codes found as the model runs, against MatMulInteger's and ConvInteger's definitions.

#include "kernels/coded.h"
#include "runtime/session.h"
#include "unit/catch.h"
#include "unit/runtime/run_program.h"

namespace thimble::runtime {
namespace {

using program::Op;
using program::Type;
using test::ints;
using test::natural;
using test::number;
using test::some_codes;
using Bytes = std::vector<std::uint8_t>;
using Floats = std::vector<float>;

// What a product of codes reads beside x, whose scale is 0.07 and whose zero is 113.
struct ProductOperands {
  std::vector<std::int64_t> dims;  // of W
  std::int64_t group, inputs;
  std::int32_t first_zero;
  bool zeros, bias;

  std::int32_t zero(std::int64_t n) const {
    return zeros ? static_cast<std::int32_t>(n) + first_zero : std::int32_t{0};
  }
  float factor(std::int64_t n) const { return 0.01f * static_cast<float>(1 + n % 3); }
  float addend(std::int64_t n) const { return static_cast<float>(n) - 7; }
  float result(std::int32_t sum, std::int64_t n) const {
    const float scaled = static_cast<float>(sum) * (0.07f * factor(n));
    return bias ? scaled + addend(n) : scaled;
  }

  // `plain`: W's rows [outputs, inputs].
  void add_to(test::OneOp& one, const std::vector<std::int8_t>& plain) const {
    const std::int64_t outputs = dims[0], own = outputs / group;
    std::vector<std::int8_t> codes(natural(group * kernels::coded_bytes(own, inputs)));
    for (std::int64_t g = 0; g < group; ++g)
      kernels::pack_coded(plain.data() + g * own * inputs, own, inputs,
                          codes.data() + g * kernels::coded_bytes(own, inputs));
    std::vector<std::int32_t> sums, points;
    Floats factors, biases;
    for (std::int64_t n = 0; n < outputs; ++n) {
      std::int32_t sum = 0;
      for (std::int64_t k = 0; k < inputs; ++k) sum += plain[natural(n * inputs + k)];
      sums.push_back(sum);
      points.push_back(zero(n));
      factors.push_back(factor(n));
      biases.push_back(addend(n));
    }
    program::Tensor tensor{.name = "w",
                           .layout = program::Layout::kCoded,
                           .type = Type::kF32,
                           .dims = dims,
                           .rows = outputs,
                           .inputs = inputs,
                           .axis = 1,
                           .bits = 8,
                           .group_size = own};
    tensor.segments = {one.b.stream(codes.data(), codes.size()),
                       one.b.stream(factors.data(), factors.size() * sizeof(float))};
    one.slots.push_back(one.b.constant_slot("w", std::move(tensor)));
    one.slots.push_back(one.b.constant("sums", Type::kI32, {outputs}, sums));
    one.slots.push_back(one.b.constant("factor", Type::kF32, {outputs}, factors));
    one.slots.push_back(one.b.constant("scale", Type::kF32, {}, Floats{0.07f}));
    one.slots.push_back(one.b.constant("zero", Type::kU8, {}, Bytes{113}));
    one.slots.push_back(bias ? one.b.constant("bias", Type::kF32, {outputs}, biases) : -1);
    if (zeros) one.slots.push_back(one.b.constant("points", Type::kI32, {outputs}, points));
  }
};

// W [20, inputs] and x [rows, inputs] with a scale and zeros of their own.
struct Dynamic {
  std::int64_t inputs, rows;
  bool zeros, bias;
  static constexpr std::int64_t kOutputs = 20;

  std::int8_t weight(std::int64_t n, std::int64_t k) const {
    return static_cast<std::int8_t>((n * 37 + k * 11) % 256 - 128);
  }
  ProductOperands operands() const { return {{kOutputs, inputs}, 1, inputs, -9, zeros, bias}; }

  test::OneOp program(const Bytes& x) const {
    test::OneOp one;
    one.with(Type::kU8, {1, rows, inputs}, x);
    std::vector<std::int8_t> plain;
    for (std::int64_t n = 0; n < kOutputs; ++n) {
      for (std::int64_t k = 0; k < inputs; ++k) plain.push_back(weight(n, k));
    }
    operands().add_to(one, plain);
    return one;
  }
};

// Images [2, 6, 5, 7] times a weight [10, 6 / group, 3, 2] at strides 2 and 1, padded.
struct DynamicWindows {
  std::int64_t group;
  bool zeros, bias;
  std::int64_t weight_group = group;  // what the tensor says
  static constexpr std::int64_t kChannels = 6, kOutputs = 10, kRows = 5, kColumns = 7;
  static constexpr std::int64_t kOutRows = 3, kOutColumns = 8;

  std::int64_t own_channels() const { return kChannels / group; }
  std::int64_t inputs() const { return own_channels() * 6; }
  std::int32_t weight(std::int64_t n, std::int64_t channel, std::int64_t tap) const {
    return static_cast<std::int32_t>((n * 37 + channel * 11 + tap * 29) % 256 - 128);
  }
  ProductOperands operands() const {
    return {{kOutputs, own_channels(), 3, 2}, group, inputs(), -4, zeros, bias};
  }

  std::int32_t sum_at(const Bytes& x, std::int64_t image, std::int64_t n, std::int64_t row,
                      std::int64_t column) const {
    std::int32_t sum = 0;
    for (std::int64_t c = 0; c < own_channels(); ++c) {
      const std::int64_t channel = n / (kOutputs / group) * own_channels() + c;
      for (std::int64_t tap = 0; tap < 6; ++tap) {
        const std::int64_t r = row * 2 + tap / 2 - 1, col = column + tap % 2 - 1;
        if (r < 0 || r >= kRows || col < 0 || col >= kColumns) continue;
        const std::int64_t at = ((image * kChannels + channel) * kRows + r) * kColumns + col;
        sum += (weight(n, c, tap) - operands().zero(n)) * (x[natural(at)] - 113);
      }
    }
    return sum;
  }

  Floats expected(const Bytes& x) const {
    Floats want;
    for (std::int64_t i = 0; i < 2 * kOutputs * kOutRows * kOutColumns; ++i) {
      const std::int64_t n = i / (kOutRows * kOutColumns) % kOutputs;
      const std::int32_t sum = sum_at(x, i / (kOutputs * kOutRows * kOutColumns), n,
                                      i / kOutColumns % kOutRows, i % kOutColumns);
      want.push_back(operands().result(sum, n));
    }
    return want;
  }

  test::OneOp program(const Bytes& x) const {
    test::OneOp one;
    one.with(Type::kU8, {2, kChannels, kRows, kColumns}, x);
    std::vector<std::int8_t> plain;
    for (std::int64_t n = 0; n < kOutputs; ++n) {
      for (std::int64_t k = 0; k < inputs(); ++k)
        plain.push_back(
            static_cast<std::int8_t>(weight(n, k % own_channels(), k / own_channels())));
    }
    operands().add_to(one, plain);
    return one;
  }

  std::vector<program::Attribute> attributes() const {
    return {ints("group", {weight_group}), ints("strides", {2, 1}), ints("pads", {1, 1, 1, 1})};
  }
};

}  // namespace

TEST_CASE("products of codes equal MatMulInteger, Cast, Mul and Add") {
  for (const Dynamic& d : {Dynamic{64, 70, false, true}, Dynamic{64, 3, true, false},
                           Dynamic{75, 130, true, true}, Dynamic{3, 1, false, false}}) {
    INFO(d.inputs << " " << d.rows);
    const Bytes x = some_codes(d.rows * d.inputs);
    Floats want;
    for (std::int64_t m = 0; m < d.rows; ++m) {
      for (std::int64_t n = 0; n < Dynamic::kOutputs; ++n) {
        std::int32_t sum = 0;
        for (std::int64_t k = 0; k < d.inputs; ++k)
          sum += (d.weight(n, k) - d.operands().zero(n)) * (x[natural(m * d.inputs + k)] - 113);
        want.push_back(d.operands().result(sum, n));
      }
    }
    CHECK(d.program(x).run<float>(Op::kMultiplyCodes, Type::kF32, {1, d.rows, Dynamic::kOutputs}) ==
          want);
  }
}

TEST_CASE("products of windows of codes equal ConvInteger, Cast, Mul and Add") {
  const Bytes x = some_codes(2 * 6 * 5 * 7);
  for (const DynamicWindows& d : {DynamicWindows{1, false, true}, DynamicWindows{1, true, false},
                                  DynamicWindows{2, true, true}}) {
    CHECK(d.program(x).run<float>(Op::kMultiplyCodes, Type::kF32, {2, 10, 3, 8}, d.attributes()) ==
          d.expected(x));
  }
  const DynamicWindows odd{1, false, false, 2};
  CHECK_FALSE(
      odd.program(x).try_run(Op::kMultiplyCodes, Type::kF32, {2, 10, 3, 8}, odd.attributes()));
}

TEST_CASE("products of codes whose shapes don't fit are refused") {
  const Dynamic product{64, 2, false, false};
  const Bytes rows = some_codes(2 * 64);
  CHECK_FALSE(product.program(rows).try_run(Op::kMultiplyCodes, Type::kF32, {1, 3, 20}));
  test::OneOp narrow = product.program(rows);
  narrow.slots[0] = narrow.b.input("narrow", Type::kU8, {number(2), number(63)});
  narrow.views[0] = test::view(Type::kU8, {2, 63}, rows);
  CHECK_FALSE(narrow.try_run(Op::kMultiplyCodes, Type::kF32, {2, 20}));
}

}  // namespace thimble::runtime

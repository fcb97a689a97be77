// Instructions on codes, against their definition element by element.

#include "kernels/coded.h"

#include <algorithm>
#include <cmath>

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
using test::real;
using test::some_codes;
using Bytes = std::vector<std::uint8_t>;
using Floats = std::vector<float>;

program::Attribute several(std::string name, Floats values) {
  return {std::move(name), {}, std::move(values), {}};
}

std::uint8_t coded(float x, std::int64_t zero, std::int64_t low = 0, std::int64_t high = 255) {
  const float cut = std::clamp(x, static_cast<float>(low - zero), static_cast<float>(high - zero));
  return static_cast<std::uint8_t>(std::nearbyint(cut) + static_cast<float>(zero));
}

// W [outputs, channels / group, 2, 3]; an image [2, height, width, channels] with a zero of 20,
// padded by 1 above and on the left, stepped by 2 along its width, its rows' taps `spread` apart.
struct Case {
  std::int64_t channels, outputs, group, height, width, spread;

  bool depthwise() const { return group == channels && outputs == channels; }
  std::int64_t own() const { return channels / group; }
  std::int64_t inputs() const { return own() * 6; }
  std::int64_t out_height() const { return height - spread + 1; }
  std::int64_t out_width() const { return (width + 1 - 3) / 2 + 1; }
  // Tap t of six, channel c of a group.
  std::int8_t weight(std::int64_t o, std::int64_t t, std::int64_t c) const {
    return static_cast<std::int8_t>((o * 37 + t * 11 + c * 5) % 255 - 127);
  }
};

std::vector<std::int8_t> packed_weight(const Case& c) {
  if (c.depthwise()) {
    std::vector<std::int8_t> taps;
    for (std::int64_t t = 0; t < 6; ++t) {
      for (std::int64_t o = 0; o < c.outputs; ++o) taps.push_back(c.weight(o, t, 0));
    }
    return taps;
  }
  const std::int64_t rows = c.outputs / c.group;
  const std::int64_t bytes = kernels::coded_bytes(rows, c.inputs());
  std::vector<std::int8_t> out(natural(c.group * bytes));
  for (std::int64_t g = 0; g < c.group; ++g) {
    std::vector<std::int8_t> plain;
    for (std::int64_t r = 0; r < rows; ++r) {
      for (std::int64_t k = 0; k < c.inputs(); ++k)
        plain.push_back(c.weight(g * rows + r, k / c.own(), k % c.own()));
    }
    kernels::pack_coded(plain.data(), rows, c.inputs(), out.data() + g * bytes);
  }
  return out;
}

std::int32_t weight_slot(test::ProgramBuilder& b, const Case& c) {
  const std::vector<std::int8_t> codes = packed_weight(c);
  if (c.depthwise()) return b.constant("w", Type::kI8, {2, 3, c.channels}, codes);
  program::Tensor tensor{.name = "w",
                         .layout = program::Layout::kCoded,
                         .type = Type::kF32,
                         .dims = {c.outputs, c.own(), 2, 3},
                         .rows = c.outputs,
                         .inputs = c.inputs(),
                         .axis = 3,
                         .bits = 8,
                         .group_size = c.outputs / c.group};
  const Floats scales(natural(c.outputs), 1.0f);
  tensor.segments = {b.stream(codes.data(), codes.size()),
                     b.stream(scales.data(), scales.size() * sizeof(float))};
  return b.constant_slot("w", std::move(tensor));
}

struct Outputs {
  std::vector<std::int32_t> offset;
  Floats factor;
  explicit Outputs(std::int64_t count) {
    for (std::int64_t o = 0; o < count; ++o) {
      offset.push_back(static_cast<std::int32_t>(o * 300 - 2000));
      factor.push_back(0.001f * static_cast<float>(1 + o % 5));
    }
  }
};

test::ProgramBuilder program_of(const Case& c, std::int64_t groups) {
  test::ProgramBuilder b;
  const std::int32_t x =
      b.input("x", Type::kU8, {number(2), number(c.height), number(c.width), number(c.channels)});
  const std::int32_t w = weight_slot(b, c);
  const Outputs outputs(c.outputs);
  const std::int32_t offset = b.constant("offset", Type::kI32, {c.outputs}, outputs.offset);
  const std::int32_t factor = b.constant("factor", Type::kF32, {c.outputs}, outputs.factor);
  const std::int32_t y =
      b.activation("y", Type::kU8,
                   {number(2), number(c.out_height()), number(c.out_width()), number(c.outputs)});
  b.run(Op::kConvCodes, {x, w, offset, factor}, {y},
        {ints("group", {groups}), ints("pads", {1, 1, 0, 0}), ints("strides", {1, 2}),
         ints("dilations", {c.spread, 1}), ints("x_zero", {20}), ints("zero", {90}),
         ints("low", {40}), ints("high", {250})});
  b.output(y);
  return b;
}

std::uint8_t wanted(const Case& c, const Bytes& x, std::int64_t n, std::int64_t row,
                    std::int64_t column, std::int64_t o) {
  const Outputs outputs(c.outputs);
  std::int32_t sum = outputs.offset[natural(o)];
  for (std::int64_t t = 0; t < 6; ++t) {
    const std::int64_t r = row + t / 3 * c.spread - 1, s = column * 2 + t % 3 - 1;
    const bool inside = r >= 0 && r < c.height && s >= 0 && s < c.width;
    for (std::int64_t k = 0; k < c.own(); ++k) {
      const std::int64_t channel = o / (c.outputs / c.group) * c.own() + k;
      const std::int64_t at = ((n * c.height + r) * c.width + s) * c.channels + channel;
      sum += c.weight(o, t, k) * (inside ? x[natural(at)] : 20);
    }
  }
  return coded(static_cast<float>(sum) * outputs.factor[natural(o)], 90, 40, 250);
}

TEST_CASE("convolutions of codes equal sums over windows") {
  for (const Case& c : {Case{7, 20, 1, 3, 5, 1}, Case{8, 24, 2, 9, 19, 1}, Case{1, 5, 1, 4, 4, 2},
                        Case{70, 40, 1, 6, 30, 2}, Case{21, 21, 21, 5, 9, 1}}) {
    INFO(c.channels << " " << c.outputs << " " << c.group);
    const Bytes x = some_codes(2 * c.height * c.width * c.channels);
    const auto b = program_of(c, c.group);
    const auto run = [&](int threads) {
      return test::run_once<std::uint8_t>(
          b, {test::view(Type::kU8, {2, c.height, c.width, c.channels}, x)}, threads);
    };
    Bytes want;
    for (std::int64_t n = 0; n < 2; ++n) {
      for (std::int64_t row = 0; row < c.out_height(); ++row) {
        for (std::int64_t column = 0; column < c.out_width(); ++column) {
          for (std::int64_t o = 0; o < c.outputs; ++o)
            want.push_back(wanted(c, x, n, row, column, o));
        }
      }
    }
    CHECK(run(1) == want);
    CHECK(run(3) == want);
  }
}

TEST_CASE("a convolution of codes whose window is one place reads the image as it lies") {
  test::OneOp one;
  const std::int64_t places = 35, channels = 128, outputs = 33;
  const Bytes x = some_codes(places * channels);
  one.with(Type::kU8, {1, 5, 7, channels}, x);
  std::vector<std::int8_t> plain;
  for (std::int64_t i = 0; i < outputs * channels; ++i)
    plain.push_back(static_cast<std::int8_t>(i * 13 % 255 - 127));
  std::vector<std::int8_t> codes(natural(kernels::coded_bytes(outputs, channels)));
  kernels::pack_coded(plain.data(), outputs, channels, codes.data());
  program::Tensor tensor{.name = "w",
                         .layout = program::Layout::kCoded,
                         .type = Type::kF32,
                         .dims = {outputs, channels, 1, 1},
                         .rows = outputs,
                         .inputs = channels,
                         .axis = 3,
                         .bits = 8,
                         .group_size = outputs};
  const Outputs finish(outputs);
  tensor.segments = {one.b.stream(codes.data(), codes.size()),
                     one.b.stream(finish.factor.data(), finish.factor.size() * sizeof(float))};
  one.slots.push_back(one.b.constant_slot("w", std::move(tensor)));
  one.slots.push_back(one.b.constant("offset", Type::kI32, {outputs}, finish.offset));
  one.slots.push_back(one.b.constant("factor", Type::kF32, {outputs}, finish.factor));
  Bytes want;
  for (std::int64_t p = 0; p < places; ++p) {
    for (std::int64_t o = 0; o < outputs; ++o) {
      std::int32_t sum = finish.offset[natural(o)];
      for (std::int64_t k = 0; k < channels; ++k)
        sum += plain[natural(o * channels + k)] * x[natural(p * channels + k)];
      want.push_back(coded(static_cast<float>(sum) * finish.factor[natural(o)], 7));
    }
  }
  CHECK(one.run<std::uint8_t>(Op::kConvCodes, Type::kU8, {1, 5, 7, outputs}, {ints("zero", {7})}) ==
        want);
}

TEST_CASE("images become codes with their channels last, and go back") {
  const std::int64_t channels = 11, places = 6 * 13;
  Floats x;
  for (std::int64_t i = 0; i < channels * places; ++i)
    x.push_back(std::sin(static_cast<float>(i)) * 3);
  Bytes codes;
  Floats back(x.size());
  for (std::int64_t p = 0; p < places; ++p) {
    for (std::int64_t c = 0; c < channels; ++c) {
      codes.push_back(coded(x[natural(c * places + p)] / 0.02f, 130));
      back[natural(c * places + p)] = (static_cast<float>(codes.back()) - 130) * 0.02f;
    }
  }
  const std::vector<program::Attribute> scaling = {real("scale", 0.02f), ints("zero", {130})};
  test::OneOp there, again;
  there.with(Type::kF32, {1, channels, 6, 13}, x);
  CHECK(there.run<std::uint8_t>(Op::kEncodeImage, Type::kU8, {1, 6, 13, channels}, scaling) ==
        codes);
  again.with(Type::kU8, {1, 6, 13, channels}, codes);
  CHECK(again.run<float>(Op::kDecodeImage, Type::kF32, {1, channels, 6, 13}, scaling) == back);
  test::OneOp both;
  both.with(Type::kF32, {channels * places}, x);
  CHECK(both.run<float>(Op::kRoundToCodes, Type::kF32, {channels * places}, scaling) == back);
}

TEST_CASE("codes are joined and added in the result's scale") {
  const Bytes a = some_codes(12), b(a.rbegin(), a.rend()), c(a.rbegin(), a.rbegin() + 8);
  test::OneOp join, mix;
  join.with(Type::kU8, {1, 2, 2, 3}, a).with(Type::kU8, {1, 2, 2, 2}, c);
  const Bytes joined = join.run<std::uint8_t>(
      Op::kConcatCodes, Type::kU8, {1, 2, 2, 5},
      {several("factors", {1.0f, 0.5f}), ints("zeros", {9, 20}), ints("zero", {9})});
  for (std::size_t p = 0; p < 4; ++p) {
    for (std::size_t k = 0; k < 3; ++k) CHECK(joined[5 * p + k] == a[3 * p + k]);
    for (std::size_t k = 0; k < 2; ++k)
      CHECK(joined[5 * p + 3 + k] == coded((static_cast<float>(c[2 * p + k]) - 20) * 0.5f, 9));
  }
  mix.with(Type::kU8, {1, 2, 2, 3}, a).with(Type::kU8, {1, 2, 2, 3}, b);
  const Bytes mixed =
      mix.run<std::uint8_t>(Op::kMixCodes, Type::kU8, {1, 2, 2, 3},
                            {several("factors", {0.3f, 0.7f, -30.0f}), ints("zero", {60})});
  for (std::size_t i = 0; i < 12; ++i) {
    const float sum = static_cast<float>(a[i]) * 0.3f + static_cast<float>(b[i]) * 0.7f;
    CHECK(mixed[i] == coded(sum + -30.0f, 60));
  }
}

TEST_CASE("pools of codes take the largest and the mean of what lies in the image") {
  const std::int64_t channels = 19;
  const Bytes x = some_codes(25 * channels);
  const std::vector<program::Attribute> windows = {
      ints("kernel_shape", {3, 3}), ints("pads", {1, 1, 1, 1}), ints("strides", {2, 2})};
  for (const bool padding : {false, true}) {
    test::OneOp largest, mean;
    largest.with(Type::kU8, {1, 5, 5, channels}, x);
    mean.with(Type::kU8, {1, 5, 5, channels}, x);
    const Bytes most =
        largest.run<std::uint8_t>(Op::kMaxPoolCodes, Type::kU8, {1, 3, 3, channels}, windows);
    std::vector<program::Attribute> more = windows;
    for (program::Attribute& attribute : std::vector<program::Attribute>{
             real("factor", 0.8f), ints("x_zero", {100}), ints("zero", {110}),
             ints("count_include_pad", {padding ? 1 : 0})}) {
      more.push_back(std::move(attribute));
    }
    const Bytes means =
        mean.run<std::uint8_t>(Op::kAveragePoolCodes, Type::kU8, {1, 3, 3, channels}, more);
    for (std::int64_t p = 0; p < 9; ++p) {
      for (std::int64_t c = 0; c < channels; ++c) {
        std::int32_t sum = 0, count = 0;
        std::uint8_t top = 0;
        for (std::int64_t t = 0; t < 9; ++t) {
          const std::int64_t r = p / 3 * 2 + t / 3 - 1, s = p % 3 * 2 + t % 3 - 1;
          if (r < 0 || r > 4 || s < 0 || s > 4) continue;
          const std::uint8_t code = x[natural((r * 5 + s) * channels + c)];
          top = std::max(top, code);
          sum += code - 100;
          ++count;
        }
        CHECK(most[natural(p * channels + c)] == top);
        const float factor = 0.8f / static_cast<float>(padding ? 9 : count);
        CHECK(means[natural(p * channels + c)] == coded(static_cast<float>(sum) * factor, 110));
      }
    }
  }
  test::OneOp whole;
  whole.with(Type::kU8, {1, 5, 5, channels}, x);
  const Bytes means = whole.run<std::uint8_t>(
      Op::kAveragePoolCodes, Type::kU8, {1, 1, 1, channels},
      {ints("global", {1}), real("factor", 1), ints("x_zero", {100}), ints("zero", {100})});
  std::int32_t sum = 0;
  for (std::int64_t p = 0; p < 25; ++p) sum += x[natural(p * channels)] - 100;
  CHECK(means[0] == coded(static_cast<float>(sum) * (1.0f / 25), 100));
}

TEST_CASE("instructions on codes that can't be are refused") {
  const Bytes x = some_codes(12);
  const auto refused = [&](Op op, std::vector<program::Attribute> attributes, int inputs = 1) {
    test::OneOp one;
    for (int i = 0; i < inputs; ++i) one.with(Type::kU8, {1, 2, 2, 3}, x);
    return !one.try_run(op, Type::kU8, {1, 2, 2, 3}, std::move(attributes)).has_value();
  };
  CHECK(refused(Op::kMixCodes, {}, 2));
  CHECK(refused(Op::kMixCodes, {several("factors", {1, 1, 0}), ints("zero", {256})}, 2));
  CHECK(refused(Op::kMixCodes, {several("factors", {1, 1, 0}), ints("low", {5}), ints("high", {4})},
                2));
  CHECK_FALSE(refused(Op::kMixCodes, {several("factors", {1, 1, 0})}, 2));
  CHECK(refused(Op::kConcatCodes, {several("factors", {1}), ints("zeros", {-1})}));
  CHECK(refused(Op::kMaxPoolCodes, {}));
  CHECK(refused(Op::kConvCodes, {}, 4));
  CHECK(refused(Op::kEncodeImage, {}));
  CHECK(refused(Op::kDecodeImage, {real("scale", 0)}));
  CHECK(refused(Op::kRoundToCodes, {}));
  CHECK(refused(Op::kMultiplyCodes, {}, 6));
  // As many groups as don't fit the weight, in a convolution by channels too.
  for (const Case& c : {Case{8, 24, 2, 3, 5, 1}, Case{8, 8, 8, 3, 5, 1}}) {
    const Bytes image = some_codes(2 * 3 * 5 * 8);
    const auto b = program_of(c, 1);
    ThreadPool pool(1);
    const auto session = Session::create(b.bundle, pool, {});
    const std::vector<TensorView> inputs = {test::view(Type::kU8, {2, 3, 5, 8}, image)};
    CHECK((!session || !(*session)->run(inputs)));
  }
}

}  // namespace
}  // namespace thimble::runtime

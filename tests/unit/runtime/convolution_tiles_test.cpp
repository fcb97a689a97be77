// Convolutions with a weight in tiles, against sums in f64.

#include <cmath>

#include "runtime/session.h"
#include "unit/catch.h"
#include "unit/runtime/run_program.h"

namespace thimble::runtime {
namespace {

using program::Op;
using program::Type;
using test::ints;
using test::number;
using test::real;
using Floats = std::vector<float>;

// W [outputs, channels / group, 2, 3], codes (7 o + 3 k) mod 16 less 8, scale 0.25; bias o / 2; an
// image [2, channels, height, width] padded by 1 before and stepped by 2 along its width.
struct Case {
  std::int64_t channels, outputs, group, height, width;

  std::int64_t taps() const { return 6; }
  std::int64_t inputs() const { return channels / group * taps(); }
  std::int64_t out_height() const { return height; }  // height + 1 - 2 + 1
  std::int64_t out_width() const { return (width + 1 - 3) / 2 + 1; }
};

float weight_at(std::int64_t o, std::int64_t k) {
  return 0.25f * static_cast<float>((7 * o + 3 * k) % 16 - 8);
}

test::ProgramBuilder program_of(const Case& c, std::vector<program::Attribute> attributes) {
  test::ProgramBuilder b;
  const std::int32_t x =
      b.input("x", Type::kF32, {number(2), number(c.channels), number(c.height), number(c.width)});
  std::vector<std::uint8_t> codes;
  Floats bias;
  for (std::int64_t o = 0; o < c.outputs; ++o) {
    bias.push_back(static_cast<float>(o) / 2);
    for (std::int64_t k = 0; k < c.inputs(); ++k)
      codes.push_back(static_cast<std::uint8_t>((7 * o + 3 * k) % 16));
  }
  const std::int32_t w = b.tiles("w", c.outputs, c.inputs(), codes, 0.25f);
  b.program().tensors.back().dims = {c.outputs, c.channels / c.group, 2, 3};
  const std::int32_t add = b.constant("b", Type::kF32, {c.outputs}, bias);
  const std::int32_t y =
      b.activation("y", Type::kF32,
                   {number(2), number(c.outputs), number(c.out_height()), number(c.out_width())});
  for (program::Attribute& attribute : std::vector<program::Attribute>{
           ints("pads", {1, 1, 0, 0}), ints("strides", {1, 2}), ints("group", {c.group})}) {
    attributes.push_back(std::move(attribute));
  }
  b.run(Op::kConvTiles, {x, w, add}, {y}, std::move(attributes));
  b.output(y);
  return b;
}

double wanted(const Case& c, const Floats& x, std::int64_t n, std::int64_t o, std::int64_t row,
              std::int64_t column) {
  const std::int64_t own = c.channels / c.group, first = o / (c.outputs / c.group) * own;
  double sum = static_cast<double>(o) / 2;
  for (std::int64_t k = 0; k < c.inputs(); ++k) {
    const std::int64_t r = row + k / 3 % 2 - 1, s = column * 2 + k % 3 - 1;
    if (r < 0 || r >= c.height || s < 0 || s >= c.width) continue;
    const std::int64_t channel = n * c.channels + first + k / 6;
    sum += static_cast<double>(weight_at(o, k)) *
           x[static_cast<std::size_t>((channel * c.height + r) * c.width + s)];
  }
  return sum;
}

TEST_CASE("convolutions of tiles equal sums over windows") {
  for (const Case& c : {Case{7, 20, 1, 3, 5}, Case{8, 64, 2, 9, 19}, Case{1, 5, 1, 4, 4}}) {
    Floats x(static_cast<std::size_t>(2 * c.channels * c.height * c.width));
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = std::sin(static_cast<float>(i) * 0.7f) + 0.3f;
    for (const std::int64_t scheme : {0, 1, 2, 3, 4}) {
      INFO(c.channels << " " << c.group << " scheme " << scheme);
      // Codes of scheme 3 reach from -0.7 to 1.3.
      const auto b = program_of(
          c, {ints("activation", {scheme}), real("scale", 2.0f / 254), ints("zero", {-38})});
      const auto run = [&](int threads) {
        return test::run_once<float>(
            b, {test::view(Type::kF32, {2, c.channels, c.height, c.width}, x)}, threads);
      };
      const Floats y = run(1);
      CHECK(run(3) == y);
      // A code's error is half a step of about 0.01, spread over the inputs.
      const double tolerance = scheme == 0 ? 1e-4 : scheme == 2 ? 2e-3 : 0.15;
      std::size_t at = 0;
      for (std::int64_t n = 0; n < 2; ++n) {
        for (std::int64_t o = 0; o < c.outputs; ++o) {
          for (std::int64_t row = 0; row < c.out_height(); ++row) {
            for (std::int64_t column = 0; column < c.out_width(); ++column)
              REQUIRE(std::fabs(y[at++] - wanted(c, x, n, o, row, column)) < tolerance);
          }
        }
      }
      REQUIRE(at == y.size());
    }
  }
}

TEST_CASE("convolutions of tiles that can't be are refused") {
  const Case c{8, 24, 2, 3, 5};  // 12 outputs a group share tiles with the next
  const Floats x(static_cast<std::size_t>(2 * 8 * 15));
  const auto refused = [&](const test::ProgramBuilder& b) {
    ThreadPool pool(1);
    const auto session = Session::create(b.bundle, pool, {});
    const runtime::TensorView view = test::view(Type::kF32, {2, 8, 3, 5}, x);
    return !session || !(*session)->run(std::vector<TensorView>{view});
  };
  CHECK(refused(program_of(c, {})));
  const Case good{8, 32, 2, 3, 5};
  CHECK_FALSE(refused(program_of(good, {})));
  CHECK(refused(program_of(good, {ints("activation", {5})})));
  CHECK(refused(program_of(good, {ints("activation", {3}), real("scale", 0)})));
  CHECK(refused(program_of(good, {ints("activation", {3}), ints("zero", {200})})));
}

}  // namespace
}  // namespace thimble::runtime

// Convolutions with a weight in panels, depthwise ones and pools, against sums in f64.

#include <algorithm>
#include <cmath>

#include "kernels/convolve.h"
#include "runtime/session.h"
#include "runtime/values.h"
#include "support/half.h"
#include "unit/catch.h"
#include "unit/runtime/run_program.h"

namespace thimble::runtime {
namespace {

using program::Op;
using program::Type;
using test::ints;
using test::number;
using Floats = std::vector<float>;

// An image [2, channels, height, width], padded by 1 before and 2 after each axis.
struct Case {
  std::int64_t channels, outputs, group, height, width, kernel, stride, dilation;

  std::int64_t own() const { return channels / group; }
  std::int64_t inputs() const { return own() * kernel * kernel; }
  std::int64_t out(std::int64_t size) const {
    return (size + 3 - (kernel - 1) * dilation - 1) / stride + 1;
  }
};

Floats waves(std::int64_t count, float step) {
  Floats out(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < out.size(); ++i)
    out[i] = std::sin(static_cast<float>(i) * step) + 0.2f;
  return out;
}

Floats panels_of(const Case& c, const Floats& w) {
  const std::int64_t rows = c.outputs / c.group, panels = (rows + 15) / 16;
  Floats out(static_cast<std::size_t>(c.group * panels * c.inputs() * 16));
  float* to = out.data();
  for (std::int64_t g = 0; g < c.group; ++g) {
    for (std::int64_t p = 0; p < panels; ++p, to += c.inputs() * 16)
      kernels::pack_panel(w.data() + g * rows * c.inputs(), rows, c.inputs(), p, to);
  }
  return out;
}

double wanted(const Case& c, const Floats& x, const Floats& w, std::int64_t n, std::int64_t o,
              std::int64_t row, std::int64_t column) {
  const std::int64_t first = o / (c.outputs / c.group) * c.own();
  double sum = 0;
  for (std::int64_t k = 0; k < c.inputs(); ++k) {
    const std::int64_t tap = k % (c.kernel * c.kernel);
    const std::int64_t r = row * c.stride + tap / c.kernel * c.dilation - 1;
    const std::int64_t s = column * c.stride + tap % c.kernel * c.dilation - 1;
    if (r < 0 || r >= c.height || s < 0 || s >= c.width) continue;
    const std::int64_t plane = n * c.channels + first + k / (c.kernel * c.kernel);
    sum += static_cast<double>(w[static_cast<std::size_t>(o * c.inputs() + k)]) *
           x[static_cast<std::size_t>((plane * c.height + r) * c.width + s)];
  }
  return sum;
}

std::vector<std::uint16_t> halves_of(const Floats& values) {
  std::vector<std::uint16_t> out(values.size());
  std::transform(values.begin(), values.end(), out.begin(), float_to_half);
  return out;
}

// max(scale * conv + bias + addend, 0) with threads, the weight stored as f32 or f16.
Floats run_case(const Case& c, const Floats& x, const Floats& w, const Floats& vectors,
                const Floats& addend, int threads, Type stored = Type::kF32) {
  test::ProgramBuilder b;
  const std::vector<std::int64_t> dims = {2, c.outputs, c.out(c.height), c.out(c.width)};
  std::vector<program::Size> sizes;
  for (const std::int64_t dim : dims) sizes.push_back(number(dim));
  const std::int32_t in =
      b.input("x", Type::kF32, {number(2), number(c.channels), number(c.height), number(c.width)});
  const std::int32_t more = b.input("more", Type::kF32, sizes);
  const bool panels = c.own() > 1 || c.group == 1;
  const Dims kernel = {c.outputs, c.own(), c.kernel, c.kernel};
  const Floats placed = panels ? panels_of(c, w) : w;
  const std::int32_t weight = stored == Type::kF16
                                  ? b.constant("w", Type::kF16, kernel, halves_of(placed))
                                  : b.constant("w", Type::kF32, kernel, placed);
  b.program().slots[static_cast<std::size_t>(weight)].type = Type::kF32;
  program::Tensor& tensor = b.program().tensors.back();
  if (panels) {
    tensor.layout = program::Layout::kPanels;
    tensor.rows = c.outputs;
    tensor.inputs = c.inputs();
    tensor.axis = 3;
    tensor.group_size = c.outputs / c.group;
  }
  const std::int32_t bias = b.constant("b", Type::kF32, {c.outputs}, vectors);
  const std::int32_t scale = b.constant("s", Type::kF32, {c.outputs}, vectors);
  const std::int32_t y = b.activation("y", Type::kF32, sizes);
  b.run(Op::kConvPanels, {in, weight, bias, more, scale}, {y},
        {ints("pads", {1, 1, 2, 2}), ints("strides", {c.stride, c.stride}),
         ints("dilations", {c.dilation, c.dilation}), ints("group", {c.group}),
         ints("function", {static_cast<std::int64_t>(program::UnaryFunction::kRelu)})});
  b.output(y);
  return test::run_once<float>(b,
                               {test::view(Type::kF32, {2, c.channels, c.height, c.width}, x),
                                test::view(Type::kF32, dims, addend)},
                               threads);
}

TEST_CASE("convolutions of panels equal sums over windows, finished") {
  for (const Case& c : {Case{3, 20, 1, 9, 13, 3, 1, 1}, Case{8, 24, 2, 12, 11, 3, 2, 1},
                        Case{40, 33, 1, 7, 7, 1, 1, 1}, Case{6, 10, 1, 20, 31, 5, 2, 2},
                        Case{6, 6, 6, 9, 17, 3, 1, 1}, Case{4, 8, 4, 15, 40, 3, 2, 1},
                        Case{5, 5, 5, 11, 6, 1, 1, 1}, Case{3, 3, 3, 12, 14, 2, 3, 3},
                        Case{130, 3, 1, 3, 2, 1, 1, 1}}) {
    INFO(c.channels << " " << c.outputs << " " << c.group << " " << c.kernel << " " << c.stride);
    const Floats x = waves(2 * c.channels * c.height * c.width, 0.7f);
    const Floats w = waves(c.outputs * c.inputs(), 1.3f), vectors = waves(c.outputs, 0.4f);
    const std::int64_t rows = c.out(c.height), columns = c.out(c.width);
    const Floats addend = waves(2 * c.outputs * rows * columns, 0.3f);
    const Floats y = run_case(c, x, w, vectors, addend, 1);
    CHECK(run_case(c, x, w, vectors, addend, 3) == y);
    Floats rounded = w;
    for (float& value : rounded) value = half_to_float(float_to_half(value));
    CHECK(run_case(c, x, w, vectors, addend, 1, Type::kF16) ==
          run_case(c, x, rounded, vectors, addend, 1));
    double worst = 0;
    for (std::int64_t i = 0; i < static_cast<std::int64_t>(y.size()); ++i) {
      const std::int64_t o = i / (rows * columns) % c.outputs;
      const double factor = vectors[static_cast<std::size_t>(o)];
      const double sum =
          wanted(c, x, w, i / (rows * columns * c.outputs), o, i / columns % rows, i % columns);
      const double want =
          std::max(factor * sum + factor + addend[static_cast<std::size_t>(i)], 0.0);
      worst = std::max(worst, std::fabs(y[static_cast<std::size_t>(i)] - want));
    }
    CHECK(worst < 2e-4);
  }
}

TEST_CASE("a weight that doesn't fit its convolution is refused") {
  const Case c{8, 24, 2, 12, 11, 3, 2, 1};
  test::ProgramBuilder b;
  const std::int32_t x = b.input("x", Type::kF32, {number(1), number(8), number(5), number(5)});
  const std::int32_t w =
      b.constant("w", Type::kF32, {24, 4, 3, 3}, panels_of(c, waves(24 * 36, 1.0f)));
  program::Tensor& tensor = b.program().tensors.back();
  tensor.layout = program::Layout::kPanels;
  tensor.rows = 24;
  tensor.inputs = 36;
  tensor.group_size = 12;
  const std::int32_t y =
      b.activation("y", Type::kF32, {number(1), number(24), number(3), number(3)});
  b.run(Op::kConvPanels, {x, w}, {y}, {ints("group", {1})});
  b.output(y);
  ThreadPool pool(1);
  const Floats image(200, 1.0f);
  auto session = Session::create(b.bundle, pool);
  REQUIRE(session);
  CHECK_FALSE(
      (*session)->run(std::vector<TensorView>{test::view(Type::kF32, {1, 8, 5, 5}, image)}));
}

TEST_CASE("pools by rows equal pools over windows") {
  const std::int64_t height = 11, width = 37;
  const Floats x = waves(2 * height * width, 0.9f);
  const std::vector<double> x_wide(x.begin(), x.end());
  const auto pool = [&](Op op, Type type, std::int64_t stride, std::int64_t include) {
    const std::int64_t rows = (height + 2 - 3) / stride + 1, columns = (width + 2 - 3) / stride + 1;
    test::OneOp one;
    if (type == Type::kF64) {
      one.with(type, {1, 2, height, width}, x_wide);
    } else {
      one.with(type, {1, 2, height, width}, x);
    }
    const std::vector<program::Attribute> attributes = {
        ints("kernel_shape", {3, 3}), ints("pads", {1, 1, 1, 1}), ints("strides", {stride, stride}),
        ints("count_include_pad", {include})};
    std::vector<double> out;
    if (type == Type::kF64) return one.run<double>(op, type, {1, 2, rows, columns}, attributes);
    for (const float v : one.run<float>(op, type, {1, 2, rows, columns}, attributes))
      out.push_back(v);
    return out;
  };
  for (const Op op : {Op::kMaxPool, Op::kAveragePool}) {
    for (const std::int64_t stride : {1, 2, 3}) {
      for (const std::int64_t include : {0, 1}) {
        // f64 takes the windows one by one.
        const auto wide = pool(op, Type::kF64, stride, include);
        const auto narrow = pool(op, Type::kF32, stride, include);
        REQUIRE(wide.size() == narrow.size());
        for (std::size_t i = 0; i < wide.size(); ++i)
          CHECK(narrow[i] == Approx(wide[i]).epsilon(1e-5).margin(1e-6));
      }
    }
  }
}

TEST_CASE("pools over volumes equal pools over windows") {
  using Ints = std::vector<std::int64_t>;
  const Ints dims = {1, 3, 5, 9, 21};
  const Floats x = waves(3 * 5 * 9 * 21, 0.9f);
  const std::vector<double> x_wide(x.begin(), x.end());
  struct Case {
    Ints kernel, strides, dilations, pads, out;
  };
  const Case cases[] = {
      {{3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1, 1, 1, 1}, {5, 9, 21}},
      {{3, 3, 3}, {2, 2, 2}, {1, 1, 1}, {1, 1, 1, 1, 1, 1}, {3, 5, 11}},
      {{2, 2, 2}, {2, 2, 2}, {1, 1, 1}, {0, 0, 0, 0, 0, 0}, {2, 4, 10}},
      {{1, 3, 3}, {1, 2, 2}, {1, 1, 1}, {0, 1, 1, 0, 1, 1}, {5, 5, 11}},
      {{3, 1, 1}, {1, 1, 1}, {2, 1, 1}, {2, 0, 0, 2, 0, 0}, {5, 9, 21}},
      {{1, 3, 3}, {2, 1, 1}, {1, 2, 2}, {0, 2, 2, 0, 2, 2}, {3, 9, 21}},
  };
  for (const Op op : {Op::kMaxPool, Op::kAveragePool}) {
    for (const Case& one : cases) {
      Ints out = {1, 3};
      out.insert(out.end(), one.out.begin(), one.out.end());
      const std::vector<program::Attribute> attributes = {
          ints("kernel_shape", one.kernel), ints("pads", one.pads), ints("strides", one.strides),
          ints("dilations", one.dilations)};
      test::OneOp wide, narrow;
      wide.with(Type::kF64, dims, x_wide);
      narrow.with(Type::kF32, dims, x);
      const auto expected = wide.run<double>(op, Type::kF64, out, attributes);
      const auto found = narrow.run<float>(op, Type::kF32, out, attributes);
      REQUIRE(expected.size() == found.size());
      for (std::size_t i = 0; i < found.size(); ++i)
        CHECK(static_cast<double>(found[i]) == Approx(expected[i]).epsilon(1e-5).margin(1e-6));
    }
  }
}

}  // namespace
}  // namespace thimble::runtime

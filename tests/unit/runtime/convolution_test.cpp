#include "unit/runtime/run_program.h"

using namespace thimble;
using namespace thimble::test;

namespace {

using I64 = std::vector<std::int64_t>;

// Small whole numbers, whose products and sums are exact in f32.
template <class T>
std::vector<T> numbers(const I64& dims, std::int64_t step) {
  std::int64_t count = 1;
  for (const std::int64_t dim : dims) count *= dim;
  std::vector<T> out;
  for (std::int64_t i = 0; i < count; ++i)
    out.push_back(static_cast<T>((i * step + i / 7) % 15 - 7));
  return out;
}

template <class T>
std::vector<T> convolve(p::Op kind, p::Type type, const I64& x, const I64& weight, const I64& y,
                        const std::vector<p::Attribute>& attributes, int threads) {
  const auto image = numbers<T>(x, 5), taps = numbers<T>(weight, 11), bias = numbers<T>({y[1]}, 3);
  OneOp op;
  op.with(type, x, image).with(type, weight, taps).with(type, {y[1]}, bias);
  return op.run<T>(kind, type, y, attributes, threads);
}

// f64 takes the plain loops, f32 the product: both are exact here.
void agree(const I64& x, const I64& weight, const I64& y,
           const std::vector<p::Attribute>& attributes, p::Op kind = p::Op::kConv) {
  const auto plain = convolve<double>(kind, p::Type::kF64, x, weight, y, attributes, 1);
  const auto product = convolve<float>(kind, p::Type::kF32, x, weight, y, attributes, 1);
  REQUIRE(plain.size() == product.size());
  CHECK(convolve<float>(kind, p::Type::kF32, x, weight, y, attributes, 3) == product);
  for (std::size_t i = 0; i < plain.size(); ++i) {
    INFO(i);
    REQUIRE(static_cast<double>(product[i]) == plain[i]);
  }
}

p::Attribute list(std::string name, I64 values) { return {std::move(name), values, {}, {}}; }

}  // namespace

TEST_CASE("a convolution by products is the plain one, in every geometry") {
  // Several runs of places: 40 * 40 at 64 taps of 9.
  agree({1, 64, 40, 40}, {5, 64, 3, 3}, {1, 5, 40, 40}, {list("pads", {1, 1, 1, 1})});
  agree({2, 6, 9, 11}, {8, 3, 3, 2}, {2, 8, 5, 6},
        {list("pads", {1, 0, 1, 1}), list("strides", {2, 2}), list("group", {2})});
  agree({1, 3, 13, 7}, {4, 3, 3, 3}, {1, 4, 9, 5},
        {list("pads", {0, 1, 0, 1}), list("dilations", {2, 2})});
  agree({2, 5, 6, 7}, {9, 5, 1, 1}, {2, 9, 6, 7}, {});  // in place
  agree({1, 5, 6, 7}, {9, 5, 1, 1}, {1, 9, 3, 3}, {list("strides", {2, 3})});
  agree({1, 4, 50}, {16, 4, 5}, {1, 16, 48}, {list("pads", {1, 1})});
  agree({1, 2, 4, 5, 6}, {4, 2, 2, 3, 2}, {1, 4, 5, 3, 5}, {list("pads", {1, 0, 0, 1, 0, 0})});
  // A kernel wider than the image, over padding alone at its ends.
  agree({1, 1, 2}, {4, 1, 3}, {1, 4, 8}, {list("pads", {4, 4})});
  agree({1, 6, 8, 8}, {6, 1, 3, 3}, {1, 6, 8, 8},
        {list("pads", {1, 1, 1, 1}), list("group", {6})});  // a channel each: the plain loops
}

TEST_CASE("a transposed convolution by products is the plain one, in every geometry") {
  const auto back = [](const I64& x, const I64& weight, const I64& y,
                       const std::vector<p::Attribute>& attributes) {
    agree(x, weight, y, attributes, p::Op::kConvTranspose);
  };
  back({1, 64, 40, 40}, {64, 5, 3, 3}, {1, 5, 42, 42}, {});  // several strips of places
  back({2, 8, 9, 11}, {8, 33, 2, 2}, {2, 33, 18, 22}, {list("strides", {2, 2})});
  back({2, 8, 5, 6}, {8, 3, 3, 2}, {2, 6, 10, 12},
       {list("pads", {1, 0, 1, 1}), list("strides", {2, 2}), list("group", {2}),
        list("output_padding", {1, 1})});
  back({1, 4, 9, 5}, {4, 3, 3, 3}, {1, 3, 13, 7},
       {list("pads", {0, 1, 0, 1}), list("dilations", {2, 2})});
  back({2, 5, 6, 7}, {5, 9, 1, 1}, {2, 9, 6, 7}, {});
  back({1, 16, 30}, {16, 7, 8}, {1, 7, 120}, {list("pads", {2, 2}), list("strides", {4})});
  back({1, 4, 4, 5, 6}, {4, 2, 2, 3, 2}, {1, 2, 5, 5, 17},
       {list("pads", {0, 1, 0, 0, 1, 0}), list("strides", {1, 1, 3})});
  back({1, 6, 8, 8}, {6, 1, 3, 3}, {1, 6, 8, 8},
       {list("pads", {1, 1, 1, 1}), list("group", {6})});         // a channel each: the plain loops
  back({1, 4, 3}, {4, 2, 3}, {1, 2, 1}, {list("pads", {2, 2})});  // most of it is cut off
}

#pragma once
// Elements of any type as a number of the widest type of their family: what operators compute with
// where no kernel of the type itself pays.

#include <cstdint>
#include <span>

#include "runtime/ops/operands.h"
#include "support/checked.h"

namespace thimble::runtime {

enum class Family : std::uint8_t { kReal, kSigned, kUnsigned };
// Floats of any width are real; u64 is unsigned; every other integer, and bool, fits i64.
Family family_of(program::Type type);

// Calls f with a zero of the family's widest type: double, i64 or u64.
template <class F>
Status with_family(program::Type type, F f) {
  switch (family_of(type)) {
    case Family::kReal:
      return f(double{});
    case Family::kSigned:
      return f(std::int64_t{});
    default:
      return f(std::uint64_t{});
  }
}

// What a float that doesn't fit a narrow float becomes, and how f8e8m0 rounds.
struct Rounding {
  bool saturate = true;
  enum class Power : std::uint8_t { kUp, kDown, kNearest } power = Power::kUp;
};

// W: double, std::int64_t or std::uint64_t. Floats read as integers are truncated, 0 where they
// don't fit; integers that don't fit a narrower type wrap around; reals are rounded to nearest,
// ties to even.
template <class W>
W element(const Value& value, std::int64_t i);
template <class W>
void set_element(Value& value, std::int64_t i, W number, Rounding rounding = {});
template <>
double element<double>(const Value& value, std::int64_t i);
template <>
std::int64_t element<std::int64_t>(const Value& value, std::int64_t i);
template <>
std::uint64_t element<std::uint64_t>(const Value& value, std::int64_t i);
template <>
void set_element<double>(Value& value, std::int64_t i, double number, Rounding rounding);
template <>
void set_element<std::int64_t>(Value& value, std::int64_t i, std::int64_t number,
                               Rounding rounding);
template <>
void set_element<std::uint64_t>(Value& value, std::int64_t i, std::uint64_t number,
                                Rounding rounding);

// The code of a float of at most 8 bits.
std::uint8_t narrow_code(program::Type type, double x, Rounding rounding);
double narrow_number(program::Type type, std::uint8_t code);

// The least and largest of an integer type of at most 32 bits.
struct Range {
  double least, most;
};
Range range_of(program::Type type);

// An axis seen as [outer, size, inner].
struct Axis {
  std::int64_t outer, size, inner;
};
Axis axis_view(const Dims& dims, std::size_t axis);

// Splits [0, count) in pieces that start at multiples of 1024: calls f(from, count).
template <class F>
void over_pieces(Call& call, std::int64_t count, F f) {
  constexpr std::int64_t kPiece = 1024;
  const std::int64_t pieces = ceil_div(count, kPiece);
  over_rows(call.machine, pieces, kPiece * 4, [&](std::int64_t begin, std::int64_t end) {
    const std::int64_t from = begin * kPiece;
    const std::int64_t to = std::min(end * kPiece, count);
    if (from < to) f(from, to - from);
  });
}

// The families of arithmetic that arithmetic.cpp lists.
std::span<const Operator> unary_operators();         // unary.cpp
std::span<const Operator> binary_operators();        // binary.cpp
std::span<const Operator> conversion_operators();    // convert.cpp: Cast, BitCast
std::span<const Operator> quantizing_operators();    // quantize.cpp
std::span<const Operator> reducing_operators();      // reduce.cpp
std::span<const Operator> choosing_operators();      // choose.cpp: ArgMax, ArgMin, TopK
std::span<const Operator> softmax_operators();       // softmax.cpp
std::span<const Operator> accumulating_operators();  // accumulate.cpp: CumSum, CumProd, Det
std::span<const Operator> multiplying_operators();   // multiply.cpp: Gemm, integer products
std::span<const Operator> coded_products();          // coded_product.cpp: of codes, to floats
std::span<const Operator> einsum_operators();        // einsum.cpp

}  // namespace thimble::runtime

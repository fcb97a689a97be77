#include "ir/decode.h"

#include <cmath>
#include <cstring>

#include "unit/catch.h"

using namespace thimble::ir;

namespace {

// An fp8 read from its definition, in double: sign, exponent, fraction.
double fp8(int byte, int exponent_bits, int fraction_bits, int bias) {
  const int exponent = (byte >> fraction_bits) & ((1 << exponent_bits) - 1);
  const double fraction =
      static_cast<double>(byte & ((1 << fraction_bits) - 1)) / (1 << fraction_bits);
  const double magnitude = exponent == 0 ? fraction * std::pow(2.0, 1 - bias)
                                         : (1 + fraction) * std::pow(2.0, exponent - bias);
  return (byte & 0x80) != 0 ? -magnitude : magnitude;
}

std::vector<float> decode_bytes(DType type, const std::vector<int>& bytes, std::size_t count) {
  std::vector<std::byte> raw;
  for (const int b : bytes) raw.push_back(static_cast<std::byte>(b));
  std::vector<float> out(count);
  REQUIRE(decode_dense(type, raw, out).has_value());
  return out;
}

}  // namespace

TEST_CASE("every fp8 byte decodes as its definition says") {
  std::vector<int> all(256);
  for (int i = 0; i < 256; ++i) all[static_cast<std::size_t>(i)] = i;
  const auto e4m3 = decode_bytes(DType::kF8E4M3FN, all, 256);
  const auto e4m3z = decode_bytes(DType::kF8E4M3FNUZ, all, 256);
  const auto e5m2 = decode_bytes(DType::kF8E5M2, all, 256);
  const auto e5m2z = decode_bytes(DType::kF8E5M2FNUZ, all, 256);
  for (int i = 0; i < 256; ++i) {
    const auto at = static_cast<std::size_t>(i);
    INFO(i);
    if ((i & 0x7f) == 0x7f) {
      CHECK(std::isnan(e4m3[at]));
    } else {
      CHECK(e4m3[at] == fp8(i, 4, 3, 7));
    }
    if (i == 0x80) {
      CHECK(std::isnan(e4m3z[at]));
      CHECK(std::isnan(e5m2z[at]));
    } else {
      CHECK(e4m3z[at] == fp8(i, 4, 3, 8));
      CHECK(e5m2z[at] == fp8(i, 5, 2, 16));
    }
    if ((i & 0x7c) == 0x7c) {
      CHECK_FALSE(std::isfinite(e5m2[at]));
    } else {
      CHECK(e5m2[at] == fp8(i, 5, 2, 15));
    }
  }
  CHECK(e4m3[0x7e] == 448);
  CHECK(e5m2[0x7b] == 57344);
}

TEST_CASE("other dense types") {
  CHECK(decode_bytes(DType::kI8, {0xff, 0x7f}, 2) == std::vector<float>{-1, 127});
  CHECK(decode_bytes(DType::kBool, {0, 5}, 2) == std::vector<float>{0, 1});
  CHECK(decode_bytes(DType::kF16, {0x00, 0x3c}, 1) == std::vector<float>{1});
  CHECK(decode_bytes(DType::kBF16, {0x80, 0xbf}, 1) == std::vector<float>{-1});
  CHECK(decode_bytes(DType::kI4, {0x9f, 0x07}, 3) == std::vector<float>{-1, -7, 7});
  CHECK(decode_bytes(DType::kU2, {0xe4}, 4) == std::vector<float>{0, 1, 2, 3});
  CHECK(decode_bytes(DType::kF4E2M1, {0xf7}, 2) == std::vector<float>{6, -6});
  CHECK(decode_bytes(DType::kF8E8M0, {127, 0}, 2) == std::vector<float>{1, 0x1p-127f});
  const double wide = 0.1;
  std::vector<std::byte> raw(8);
  std::memcpy(raw.data(), &wide, 8);
  float narrow = 0;
  REQUIRE(decode_dense(DType::kF64, raw, std::span(&narrow, 1)).has_value());
  CHECK(narrow == 0.1f);
  CHECK_FALSE(
      decode_dense(DType::kF32, raw, std::span(std::vector<float>(3).data(), 3)).has_value());
  CHECK_FALSE(decode_dense(DType::kString, raw, std::span(&narrow, 1)).has_value());
}

TEST_CASE("affine rows: points, minima, a last shorter group") {
  Encoding e;
  e.kind = EncodingKind::kAffine;
  e.bits = 4;
  e.group_size = 2;
  e.zero = ZeroKind::kPoints;
  Rows rows;
  rows.count = 2;
  rows.codes = {1, 2, 3, 4, 5, 6};
  rows.scales = {1, 2, 3, 4};
  rows.zero_points = {0, 1, 2, 3};
  std::vector<float> out(6);
  REQUIRE(decode_rows(e, DType::kF32, rows, 3, out).has_value());
  CHECK(out == std::vector<float>{1, 2, 4, 6, 9, 12});
  e.zero = ZeroKind::kMinima;
  rows.minima = {-1, 0, 1, 2};
  REQUIRE(decode_rows(e, DType::kF32, rows, 3, out).has_value());
  CHECK(out == std::vector<float>{0, 1, 6, 13, 16, 26});
  rows.scales.pop_back();
  CHECK_FALSE(decode_rows(e, DType::kF32, rows, 3, out).has_value());
}

TEST_CASE("super-blocks and codebooks") {
  Encoding e;
  e.kind = EncodingKind::kSuperBlock;
  e.bits = 4;
  e.group_size = 2;
  e.super_size = 4;
  e.sub_bits = 6;
  e.zero = ZeroKind::kMinima;
  Rows rows;
  rows.count = 1;
  rows.codes = {1, 2, 3, 4, 5, 6};
  rows.scales = {0.5f, 2};      // d
  rows.minima = {1, 0.25f};     // dmin
  rows.sub_scales = {2, 4, 1};  // scales 1, 2, 2
  rows.sub_minima = {3, 0, 4};  // minima -3, 0, -1
  std::vector<float> out(6);
  REQUIRE(decode_rows(e, DType::kF32, rows, 6, out).has_value());
  CHECK(out == std::vector<float>{-2, -1, 6, 8, 9, 11});

  Encoding book;
  book.kind = EncodingKind::kCodebook;
  book.bits = 2;
  book.group_size = 4;
  book.table = {-1, -0.25f, 0.25f, 1};
  Rows coded;
  coded.count = 1;
  coded.codes = {3, 0, 1, 2};
  coded.scales = {2};
  std::vector<float> four(4);
  REQUIRE(decode_rows(book, DType::kF32, coded, 4, four).has_value());
  CHECK(four == std::vector<float>{2, -2, -0.5f, 0.5f});

  // A super-block's codes may stand for a table's entries too.
  book.kind = EncodingKind::kSuperBlock;
  book.group_size = 2;
  book.super_size = 4;
  book.sub_bits = 4;
  book.sub_scale_zero = 8;
  coded.sub_scales = {9, 4};  // scales 2, -8
  REQUIRE(decode_rows(book, DType::kF32, coded, 4, four).has_value());
  CHECK(four == std::vector<float>{2, -2, 2, -2});
}

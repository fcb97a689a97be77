#include "ir/encoding.h"

#include "unit/catch.h"

using namespace thimble::ir;

namespace {

Encoding int4(std::int64_t group) {
  Encoding e;
  e.kind = EncodingKind::kAffine;
  e.bits = 4;
  e.group_size = group;
  e.constant_zero = 8;
  return e;
}

Encoding q4_k() {
  Encoding e;
  e.kind = EncodingKind::kSuperBlock;
  e.bits = 4;
  e.group_size = 32;
  e.super_size = 256;
  e.sub_bits = 6;
  e.zero = ZeroKind::kMinima;
  return e;
}

}  // namespace

TEST_CASE("a super-block with a table says so and reads back") {
  Encoding e = q4_k();
  e.zero = ZeroKind::kConstant;
  e.bits = 2;
  e.constant_zero = 2;
  e.sub_scale_zero = 32;
  e.table = {-127, -41, 14, 80};
  CHECK(e.to_string() ==
        "int2 group 32 super 256 symmetric f16 sub 6 sub-zero 32 table -127 -41 14 80");
  const auto back = Encoding::parse(e.to_string());
  REQUIRE(back.has_value());
  CHECK(*back == e);
  CHECK(e.streams().size() == 4);
}

TEST_CASE("payload sizes are those of the known formats") {
  // 4.5 bits a weight: GGUF's Q4_0. 5 with minima: Q4_1. 4.5 for Q4_K, 8.5 for Q8_0.
  CHECK(int4(32).payload_bits(10, 320, DType::kF32) == 3200 * 9 / 2);
  Encoding q4_1 = int4(32);
  q4_1.zero = ZeroKind::kMinima;
  CHECK(q4_1.payload_bits(10, 320, DType::kF32) == 3200 * 5);
  CHECK(q4_k().payload_bits(3, 512, DType::kF32) == 3 * 512 * 9 / 2);
  CHECK(Encoding::dense().payload_bits(3, 5, DType::kBF16) == 240);
  // A last shorter group has a scale of its own; zero points are as wide as codes.
  Encoding points = int4(32);
  points.zero = ZeroKind::kPoints;
  CHECK(points.payload_bits(1, 33, DType::kF32) == 33 * 4 + 2 * (16 + 4));
  Encoding tensor = int4(0);
  tensor.per_tensor = true;
  CHECK(tensor.payload_bits(100, 10, DType::kF32) == 4000 + 16);
  CHECK(int4(32).payload_bits(std::int64_t{1} << 62, 1 << 30, DType::kF32) == ~std::uint64_t{0});
}

TEST_CASE("encodings have a text form that reads back") {
  std::vector<Encoding> all = {Encoding::dense(), int4(32), int4(0), q4_k()};
  CHECK(all[1].to_string() == "int4 group 32 symmetric f16");
  CHECK(all[2].to_string() == "int4 per-channel symmetric f16");
  Encoding e = int4(64);
  e.zero = ZeroKind::kPoints;
  e.constant_zero = 0;
  e.scale_type = DType::kBF16;
  e.axis = 0;
  CHECK(e.to_string() == "uint4 group 64 points bf16 axis 0");
  all.push_back(e);
  e = int4(0);
  e.per_tensor = true;
  e.constant_zero = 7;
  all.push_back(e);
  e = int4(32);
  e.kind = EncodingKind::kCodebook;
  e.constant_zero = 0;
  e.table = {-1, -0.25f, 0, 1e-6f};
  all.push_back(e);
  e = q4_k();
  e.zero = ZeroKind::kConstant;
  e.constant_zero = 32;
  e.bits = 6;
  e.sub_scale_zero = 32;
  all.push_back(e);
  for (const Encoding& encoding : all) {
    INFO(encoding.to_string());
    const auto parsed = Encoding::parse(encoding.to_string());
    REQUIRE(parsed.has_value());
    CHECK(*parsed == encoding);
  }
  for (const char* bad :
       {"", "int", "int9 group 32", "int4 group", "int4 group -1", "int4 grup 32"}) {
    CHECK_FALSE(Encoding::parse(bad).has_value());
  }
}

TEST_CASE("groups and super-blocks count the last shorter one") {
  CHECK(int4(32).groups(64) == 2);
  CHECK(int4(32).groups(65) == 3);
  CHECK(int4(32).groups(5) == 1);
  CHECK(int4(32).groups(0) == 1);
  CHECK(q4_k().supers(300) == 2);
}

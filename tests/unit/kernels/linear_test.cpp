#include "kernels/linear.h"

#include <limits>

#include "unit/catch.h"
#include "unit/kernels/linear_oracle.h"

namespace thimble::kernels {
namespace {

using namespace test;

constexpr float kUntouched = -7.5f;

std::vector<const LinearKernels*> runnable() {
  std::vector<const LinearKernels*> out;
  for (const LinearKernels* variant : linear_variants()) {
    if (cpu_has(variant->isa)) out.push_back(variant);
  }
  return out;
}

std::string name_of(const Layout& l) {
  return std::to_string(l.n) + "x" + std::to_string(l.k) + " bits " + std::to_string(l.bits) +
         " group " + std::to_string(l.group) + " scales " +
         std::to_string(static_cast<int>(l.scales)) + " zero " +
         std::to_string(static_cast<int>(l.zero));
}

// Every variant's grouped products of `rows` rows against the oracle, in a y with room that must
// stay as it was.
void check_grouped(const Layout& layout, std::int64_t rows, int planes, std::mt19937& random,
                   bool one_scale = false) {
  TestWeight w;
  make_weight(layout, random, w);
  std::vector<float> x = random_floats(static_cast<std::size_t>(rows * layout.k), random);
  for (std::int64_t i = 0; i < rows * layout.k; i += 5)
    x[static_cast<std::size_t>(i)] = i % 2 == 0 ? 1.0f : -1.0f;
  const std::int64_t stride = layout.n + 3;
  std::vector<float> want(static_cast<std::size_t>(rows * stride), kUntouched), want_f32 = want;
  for (std::int64_t m = 0; m < rows; ++m) {
    const QuantizedRow row = quantize(x.data() + m * layout.k, layout.k, one_scale);
    for (std::int64_t n = 0; n < layout.n; ++n) {
      want[static_cast<std::size_t>(m * stride + n)] = int8_product(w, row, planes, n);
      want_f32[static_cast<std::size_t>(m * stride + n)] =
          f32_product(w, x.data() + m * layout.k, n);
    }
  }
  for (const LinearKernels* kernels : runnable()) {
    INFO(isa_name(kernels->isa) << " " << name_of(layout) << " rows " << rows << " planes "
                                << planes);
    Aligned<std::uint8_t> memory(int8_rows_bytes(rows, layout.k, planes));
    Aligned<std::uint8_t> scratch(linear_scratch_bytes(rows, layout.k));
    Int8Rows quantized = int8_rows_over(memory.data(), rows, layout.k, planes);
    quantized.one_scale = one_scale;
    kernels->quantize_rows(x.data(), layout.k, 0, rows / 2, quantized);
    kernels->quantize_rows(x.data(), layout.k, rows / 2, rows, quantized);
    std::vector<float> y(want.size(), kUntouched);
    const std::int64_t middle = w.view.tiles() / 2;  // as two threads would
    kernels->grouped_int8(w.view, quantized, 0, middle, y.data(), stride, scratch.data());
    kernels->grouped_int8(w.view, quantized, middle, w.view.tiles(), y.data(), stride,
                          scratch.data());
    CHECK(first_difference(y, want) == "");
    y.assign(want.size(), kUntouched);
    kernels->grouped_f32(w.view, x.data(), rows, layout.k, 0, middle, y.data(), stride,
                         scratch.data());
    kernels->grouped_f32(w.view, x.data(), rows, layout.k, middle, w.view.tiles(), y.data(), stride,
                         scratch.data());
    CHECK(first_difference(y, want_f32) == "");
  }
}

}  // namespace

TEST_CASE("codes lie in planes as the format says") {
  // The formula of the header, bit by bit.
  std::mt19937 random(3);
  for (int bits = 2; bits <= 8; ++bits) {
    const std::int64_t k = 64;
    std::vector<std::uint8_t> codes(16 * k), packed(static_cast<std::size_t>(2 * 64 * bits)),
        back(codes.size());
    for (std::uint8_t& code : codes)
      code = static_cast<std::uint8_t>(random() & ((1u << bits) - 1));
    pack_tile(codes.data(), k, bits, packed.data());
    unpack_tile(packed.data(), k, bits, back.data());
    CHECK(back == codes);
    for (int row = 0; row < 16; ++row) {
      for (int input = 0; input < k; ++input) {
        const int quad = input % 32 / 4, byte = 4 * row + input % 4;
        int code = 0, low = 0, vector = 0;
        if (bits == 8) code = packed[static_cast<std::size_t>(input / 32 * 512 + quad * 64 + byte)];
        for (const int p : {4, 2, 1}) {
          if (bits == 8 || (bits & p) == 0) continue;
          const int at = input / 32 * 64 * bits + (vector + quad % p) * 64 + byte;
          code |= (packed[static_cast<std::size_t>(at)] >> (quad / p * p) & ((1 << p) - 1)) << low;
          low += p;
          vector += p;
        }
        REQUIRE(code == codes[static_cast<std::size_t>(row * k + input)]);
      }
    }
  }
}

TEST_CASE("a short last block is padded with zeros") {
  std::vector<std::uint8_t> codes(16 * 5, 0xf), packed(64 * 4, 0xaa), back(codes.size());
  pack_tile(codes.data(), 5, 4, packed.data());
  unpack_tile(packed.data(), 5, 4, back.data());
  CHECK(back == codes);
  // Inputs 0..4: all of quad 0, one byte in four of quad 1, nothing else.
  CHECK(packed[0] == 0xf);
  CHECK(packed[64] == 0xf);
  CHECK(packed[65] == 0);
  CHECK(packed[128] == 0);
}

TEST_CASE("grouped products equal the contract: bits, zeros and scales") {
  std::mt19937 random(11);
  for (int bits = 2; bits <= 8; ++bits) {
    for (const ZeroKind zero : {ZeroKind::kConstant, ZeroKind::kPoints, ZeroKind::kMinima}) {
      for (const FloatType scales : {FloatType::kF32, FloatType::kF16, FloatType::kBF16}) {
        check_grouped({21, 96, bits, 32, scales, zero}, 3, 1, random);
      }
      check_grouped({16, 80, bits, 16, FloatType::kF16, zero}, 2, 2, random);
      check_grouped({16, 80, bits, 16, FloatType::kF16, zero}, 1, 1, random);
      check_grouped({5, 64, bits, 64, FloatType::kF16, zero}, 13, 2, random);
    }
  }
}

TEST_CASE("grouped products equal the contract: shapes") {
  std::mt19937 random(12);
  for (const std::int64_t k : {1, 15, 17, 31, 33, 48, 100, 544, 1025}) {
    for (const std::int64_t group :
         {std::int64_t{16}, std::int64_t{32}, std::int64_t{64}, std::int64_t{128}, k}) {
      check_grouped({17, k, 4, group, FloatType::kF16, ZeroKind::kPoints}, 2, 1, random);
    }
    check_grouped({1, k, 5, 1 << 20, FloatType::kF16, ZeroKind::kMinima}, 1, 2, random);
  }
  for (std::int64_t rows = 1; rows <= 70; rows += rows < 20 ? 1 : 7) {
    check_grouped({16, 64, 4, 32, FloatType::kF16, ZeroKind::kConstant}, rows, 1, random);
  }
  // More rows than the matrix unit takes at once, more blocks than a panel, outputs short of a
  // tile.
  for (const std::int64_t rows : {4, 16, 37}) {
    check_grouped({21, 600, 8, 1 << 20, FloatType::kF32, ZeroKind::kConstant}, rows, 1, random);
    check_grouped({21, 600, 4, 64, FloatType::kF16, ZeroKind::kConstant}, rows, 1, random);
    check_grouped({32, 544, 8, 32, FloatType::kBF16, ZeroKind::kConstant}, rows, 1, random);
  }
}

TEST_CASE("grouped products equal the contract: rows of one scale") {
  std::mt19937 random(24);
  constexpr std::int64_t kChannel = 1 << 20;
  for (const std::int64_t rows : {1, 3, 8, 29}) {
    for (const std::int64_t k : {5, 33, 96, 608}) {
      for (const FloatType scales : {FloatType::kF32, FloatType::kF16}) {
        check_grouped({37, k, 8, kChannel, scales, ZeroKind::kConstant}, rows, 1, random, true);
        // Their sums stay within blocks.
        check_grouped({21, k, 8, 32, scales, ZeroKind::kConstant}, rows, 1, random, true);
        check_grouped({21, k, 8, kChannel, scales, ZeroKind::kPoints}, rows, 1, random, true);
        check_grouped({21, k, 4, kChannel, scales, ZeroKind::kConstant}, rows, 1, random, true);
      }
    }
  }
}

TEST_CASE("a whole row's sum is exact at its longest, and not taken past it") {
  const std::int64_t k = 32768;
  GroupedWeight w{1, k, 8, k, FloatType::kF32, ZeroKind::kConstant, 0};
  Aligned<std::uint8_t> codes(static_cast<std::size_t>(16 * k));
  std::fill_n(codes.data(), codes.size(), std::uint8_t{255});
  Aligned<float> scale(16);
  std::fill_n(scale.data(), 16, 1.0f);
  w.codes = codes.data(), w.scales = scale.data();
  const std::vector<float> x(static_cast<std::size_t>(k), -127.0f);
  for (const LinearKernels* kernels : runnable()) {
    INFO(isa_name(kernels->isa));
    Aligned<std::uint8_t> memory(int8_rows_bytes(1, k, 1)), scratch(linear_scratch_bytes(1, k));
    Int8Rows rows = int8_rows_over(memory.data(), 1, k, 1);
    rows.one_scale = true;
    CHECK(sums_whole_rows(w, rows));
    kernels->quantize_rows(x.data(), k, 0, 1, rows);
    float y = 0;
    kernels->grouped_int8(w, rows, 0, 1, &y, 1, scratch.data());
    CHECK(y == static_cast<float>(-127 * 255 * k));
  }
  w.inputs = k + 1;
  CHECK_FALSE(sums_whole_rows(w, {1, k + 1, 1, nullptr, nullptr, nullptr, true}));
}

TEST_CASE("grouped products equal the contract: super-blocks and tables") {
  std::mt19937 random(16);
  for (const int sub_bits : {4, 6, 8}) {
    for (const ZeroKind zero : {ZeroKind::kConstant, ZeroKind::kMinima}) {
      check_grouped({21, 544, 4, 32, FloatType::kF16, zero, 256, sub_bits}, 3, 1, random);
      check_grouped({17, 300, 2, 16, FloatType::kF16, zero, 304, sub_bits}, 1, 2, random);
      check_grouped({5, 160, 6, 32, FloatType::kBF16, zero, 160, sub_bits}, 9, 1, random);
    }
  }
  for (const int bits : {2, 3, 4}) {
    check_grouped({21, 96, bits, 32, FloatType::kF16, ZeroKind::kConstant, 0, 0, true}, 3, 1,
                  random);
    check_grouped({16, 80, bits, 16, FloatType::kF16, ZeroKind::kConstant, 80, 6, true}, 1, 2,
                  random);
    check_grouped({16, 320, bits, 64, FloatType::kF32, ZeroKind::kConstant, 320, 4, true}, 13, 1,
                  random);
  }
}

TEST_CASE("scales of a byte") {
  std::mt19937 random(23);
  for (const FloatType type : {FloatType::kE8M0, FloatType::kE4M3}) {
    for (const std::int64_t group : {16, 32}) {
      check_grouped({21, 300, 4, group, type, ZeroKind::kConstant, 0, 0, true}, 3, 1, random);
      check_grouped({16, 64, 2, group, type, ZeroKind::kConstant, 0, 0, true}, 1, 2, random);
    }
    TestWeight w;
    make_weight({21, 80, 4, 16, type, ZeroKind::kConstant, 0, 0, true}, random, w);
    std::vector<float> row(80);
    decode_grouped_row(w.view, 18, row.data());
    for (std::int64_t i = 0; i < 80; ++i)
      CHECK(row[static_cast<std::size_t>(i)] == decoded(w, 18, i));
  }
}

TEST_CASE("one row of super-blocks decodes as the products do") {
  std::mt19937 random(17);
  for (const int sub_bits : {4, 6, 8}) {
    TestWeight w;
    make_weight({21, 300, 3, 16, FloatType::kF16, ZeroKind::kMinima, 128, sub_bits}, random, w);
    TestWeight coded;
    make_weight({21, 300, 3, 16, FloatType::kF16, ZeroKind::kConstant, 304, sub_bits, true}, random,
                coded);
    for (const TestWeight* weight : {&w, &coded}) {
      std::vector<float> got(300), want;
      for (std::int64_t i = 0; i < 300; ++i) want.push_back(decoded(*weight, 18, i));
      decode_grouped_row(weight->view, 18, got.data());
      CHECK(first_difference(got, want) == "");
    }
  }
}

TEST_CASE("sub-scales pack as the format says") {
  std::vector<std::uint8_t> subs(16 * 5);
  std::mt19937 random(18);
  for (const int bits : {4, 6, 8}) {
    GroupedWeight w{16, 5 * 32};
    w.sub_bits = bits;
    for (std::uint8_t& sub : subs) sub = static_cast<std::uint8_t>(random() % (1u << bits));
    std::vector<std::uint8_t> by_group(subs.size());
    for (std::size_t i = 0; i < subs.size(); ++i) by_group[i % 5 * 16 + i / 5] = subs[i];
    Aligned<std::uint8_t> want = packed_sub_scales(by_group, w);
    std::vector<std::uint8_t> got(want.size());
    pack_sub_scales(subs.data(), 5, bits, got.data());
    CHECK(got == std::vector<std::uint8_t>(want.data(), want.data() + want.size()));
  }
}

TEST_CASE("a row's product does not depend on the batch") {
  std::mt19937 random(13);
  TestWeight w;
  make_weight({40, 700, 3, 64, FloatType::kBF16, ZeroKind::kMinima}, random, w);
  const std::vector<float> x = random_floats(19 * 700, random);
  for (const LinearKernels* kernels : runnable()) {
    INFO(isa_name(kernels->isa));
    const auto product = [&](std::int64_t first, std::int64_t rows) {
      Aligned<std::uint8_t> memory(int8_rows_bytes(rows, 700, 2)),
          scratch(linear_scratch_bytes(rows, 700));
      const Int8Rows quantized = int8_rows_over(memory.data(), rows, 700, 2);
      kernels->quantize_rows(x.data() + first * 700, 700, 0, rows, quantized);
      std::vector<float> y(static_cast<std::size_t>(rows * 40));
      kernels->grouped_int8(w.view, quantized, 0, 3, y.data(), 40, scratch.data());
      return y;
    };
    const std::vector<float> all = product(0, 19);
    for (const std::int64_t row : {0, 7, 8, 18}) {
      const auto begin = all.begin() + row * 40;
      CHECK(first_difference(product(row, 1), std::vector<float>(begin, begin + 40)) == "");
    }
  }
}

TEST_CASE("quantized rows: what they hold") {
  std::mt19937 random(14);
  const std::int64_t k = 75, rows = 11, blocks = 3;
  std::vector<float> x = random_floats(static_cast<std::size_t>(rows * k), random);
  x[0] = 1e-38f, x[1] = -3.5f;
  for (int i = 0; i < 32; ++i) x[static_cast<std::size_t>(2 * k + i)] = 1e-35f;  // counts as zero
  for (int i = 0; i < k; ++i) x[static_cast<std::size_t>(3 * k + i)] = 0.0f;
  for (const LinearKernels* kernels : runnable()) {
    INFO(isa_name(kernels->isa));
    Aligned<std::uint8_t> memory(int8_rows_bytes(rows, k, 2));
    const Int8Rows out = int8_rows_over(memory.data(), rows, k, 2);
    kernels->quantize_rows(x.data(), k, 0, rows, out);
    for (std::int64_t m = 0; m < rows; ++m) {
      const QuantizedRow want = quantize(x.data() + m * k, k);
      for (std::int64_t i = 0; i < 2 * blocks * 32; ++i) {
        const std::int64_t plane = i / (blocks * 32), input = i % (blocks * 32);
        const int got = out.data[((plane * blocks + input / 32) * rows + m) * 32 + input % 32];
        REQUIRE(got == want.q[plane][static_cast<std::size_t>(input)]);
      }
      for (std::int64_t b = 0; b < blocks; ++b) {
        REQUIRE(out.scales[b * rows + m] == want.scales[static_cast<std::size_t>(b)]);
        for (int half = 0; half < 2; ++half) {
          int sum = 0;
          for (int i = 0; i < 16; ++i)
            sum += want.q[1][static_cast<std::size_t>(b * 32 + half * 16 + i)];
          REQUIRE(out.sums[((blocks + b) * 2 + half) * rows + m] == sum);
        }
      }
    }
  }
}

TEST_CASE("activations that are not finite make their row NaN and no other") {
  std::mt19937 random(15);
  TestWeight blocks, whole;
  make_weight({16, 64, 4, 32, FloatType::kF16, ZeroKind::kConstant}, random, blocks);
  make_weight({16, 64, 8, 64, FloatType::kF16, ZeroKind::kConstant}, random, whole);
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
        -std::numeric_limits<float>::infinity()}) {
    for (int place = 0; place < 64; place += 9) {
      std::vector<float> x = random_floats(3 * 64, random);
      x[static_cast<std::size_t>(64 + place)] = bad;
      for (const LinearKernels* kernels : runnable()) {
        INFO(isa_name(kernels->isa) << " " << bad << " at " << place);
        Aligned<std::uint8_t> memory(int8_rows_bytes(3, 64, 2)),
            scratch(linear_scratch_bytes(3, 64));
        const auto check = [&](const TestWeight& w, const Int8Rows& rows) {
          std::vector<float> y(3 * 16);
          kernels->grouped_int8(w.view, rows, 0, 1, y.data(), 16, scratch.data());
          for (int n = 0; n < 16; ++n) {
            REQUIRE(std::isfinite(y[static_cast<std::size_t>(n)]));
            REQUIRE(std::isnan(y[static_cast<std::size_t>(16 + n)]));
            REQUIRE(std::isfinite(y[static_cast<std::size_t>(32 + n)]));
          }
        };
        Int8Rows rows = int8_rows_over(memory.data(), 3, 64, 2);
        kernels->quantize_rows(x.data(), 64, 0, 3, rows);
        check(blocks, rows);
        rows = int8_rows_over(memory.data(), 3, 64, 1);
        rows.one_scale = true;
        kernels->quantize_rows(x.data(), 64, 0, 3, rows);
        check(whole, rows);
        kernels->quantize_rows_at(x.data(), 64, 0, 3, 0.01f, 3, rows);
        check(whole, rows);
      }
    }
  }
}

TEST_CASE("a scale known beforehand cuts off, and padding counts for nothing") {
  std::mt19937 random(19);
  for (const std::int64_t k : {5, 16, 27, 32, 70}) {
    for (const int zero : {0, -100, 33}) {
      const std::vector<float> x = random_floats(3 * static_cast<std::size_t>(k), random);
      const float scale = 0.01f;
      for (const LinearKernels* kernels : runnable()) {
        INFO(isa_name(kernels->isa) << " " << k << " " << zero);
        Aligned<std::uint8_t> memory(int8_rows_bytes(3, k, 1));
        const Int8Rows out = int8_rows_over(memory.data(), 3, k, 1);
        kernels->quantize_rows_at(x.data(), k, 0, 3, scale, zero, out);
        for (std::int64_t row = 0; row < 3; ++row) {
          for (std::int64_t half = 0; half < out.blocks() * 2; ++half) {
            std::int32_t sum = 0;
            for (std::int64_t i = half * 16; i < half * 16 + 16; ++i) {
              const float value = i < k ? x[static_cast<std::size_t>(row * k + i)] : 0;
              const float code = std::nearbyint(value * (1.0f / scale)) + static_cast<float>(zero);
              const int want =
                  i < k ? static_cast<int>(std::min(std::max(code, -127.0f), 127.0f)) : 0;
              REQUIRE(out.data[(i / 32 * 3 + row) * 32 + i % 32] == want);
              sum += want;
            }
            REQUIRE(out.sums[half * 3 + row] == sum);
            REQUIRE(out.scales[half / 2 * 3 + row] == scale);
          }
        }
      }
    }
  }
}

TEST_CASE("dense products equal the contract") {
  std::mt19937 random(16);
  for (const FloatType type : {FloatType::kF32, FloatType::kF16, FloatType::kBF16}) {
    for (const std::int64_t k : {1, 15, 16, 47, 160, 333}) {
      for (const std::int64_t rows : {1, 2, 3, 9, 13}) {
        const std::int64_t n = 11;
        std::vector<float> weights = random_floats(static_cast<std::size_t>(n * k), random);
        for (float& value : weights) value = rounded(value, type);
        Aligned<std::uint8_t> data = stored(weights, type);
        const std::vector<float> x =
            random_floats(static_cast<std::size_t>(rows * (k + 1)), random);
        std::vector<float> want(static_cast<std::size_t>(rows * n), kUntouched);
        for (std::int64_t m = 0; m < rows; ++m) {
          for (std::int64_t i = 1; i < n; ++i) {
            want[static_cast<std::size_t>(m * n + i)] =
                dense_product(weights.data() + i * k, x.data() + m * (k + 1), k);
          }
        }
        for (const LinearKernels* kernels : runnable()) {
          INFO(isa_name(kernels->isa)
               << " type " << static_cast<int>(type) << " k " << k << " rows " << rows);
          std::vector<float> y(want.size(), kUntouched);
          kernels->dense({n, k, type, data.data()}, x.data(), rows, k + 1, 1, 6, y.data(), n);
          kernels->dense({n, k, type, data.data()}, x.data(), rows, k + 1, 6, n, y.data(), n);
          CHECK(first_difference(y, want) == "");
        }
      }
    }
  }
}

TEST_CASE("packed rows give the same bits as rows that lie in order") {
  std::mt19937 random(18);
  for (const FloatType type : {FloatType::kF32, FloatType::kF16, FloatType::kBF16}) {
    for (const std::int64_t k : {0, 1, 16, 47, 768, 1600}) {
      for (const std::int64_t rows : {1, 16, 33, 61, 97}) {
        const std::int64_t n = 29;
        std::vector<float> weights = random_floats(static_cast<std::size_t>(n * k), random);
        for (float& value : weights) value = rounded(value, type);
        Aligned<std::uint8_t> data = stored(weights, type);
        const DenseWeight w{n, k, type, data.data()};
        const std::vector<float> x =
            random_floats(static_cast<std::size_t>(rows * (k + 1)), random);
        std::vector<float> want(static_cast<std::size_t>(rows * n), kUntouched);
        linear_variants().front()->dense(w, x.data(), rows, k + 1, 1, n, want.data(), n);
        for (const LinearKernels* kernels : runnable()) {
          INFO(isa_name(kernels->isa)
               << " type " << static_cast<int>(type) << " k " << k << " rows " << rows);
          Aligned<float> packed(static_cast<std::size_t>(packed_rows_floats(rows, k)));
          const std::int64_t vectors = row_vectors(rows), some = vectors / 2;
          kernels->pack_rows(x.data(), rows, k + 1, k, 0, some, packed.data());
          kernels->pack_rows(x.data(), rows, k + 1, k, some, vectors, packed.data());
          std::vector<float> y(want.size(), kUntouched);
          Aligned<float> near(static_cast<std::size_t>(near_weights_floats(k)));
          kernels->dense_packed(w, packed.data(), rows, 1, 6, y.data(), n, near.data());
          kernels->dense_packed(w, packed.data(), rows, 6, n, y.data(), n, near.data());
          CHECK(first_difference(y, want) == "");
        }
      }
    }
  }
}

TEST_CASE("matmul accumulates over K in order") {
  std::mt19937 random(17);
  for (const std::int64_t n : {1, 15, 16, 17, 32, 47, 70}) {
    for (const std::int64_t rows : {1, 2, 7, 9, 17}) {
      const std::int64_t k = rows == 9 ? 0 : rows == 7 ? 300 : 37, stride = n + 5;
      const std::vector<float> a = random_floats(static_cast<std::size_t>(rows * k), random);
      const std::vector<float> b = random_floats(static_cast<std::size_t>(k * stride), random);
      std::vector<float> want(static_cast<std::size_t>(rows * stride), kUntouched);
      for (std::int64_t m = 0; m < rows; ++m) {
        for (std::int64_t j = 0; j < n; ++j) {
          float sum = 0;
          for (std::int64_t i = 0; i < k; ++i) {
            sum = std::fma(a[static_cast<std::size_t>(m * k + i)],
                           b[static_cast<std::size_t>(i * stride + j)], sum);
          }
          want[static_cast<std::size_t>(m * stride + j)] = sum;
        }
      }
      for (const LinearKernels* kernels : runnable()) {
        INFO(isa_name(kernels->isa) << " n " << n << " rows " << rows);
        std::vector<float> y(want.size(), kUntouched);
        kernels->matmul(a.data(), k, b.data(), stride, y.data(), stride, 0, rows / 2, n, k);
        kernels->matmul(a.data(), k, b.data(), stride, y.data(), stride, rows / 2, rows, n, k);
        CHECK(first_difference(y, want) == "");
      }
    }
  }
}

TEST_CASE("one row decoded") {
  std::mt19937 random(18);
  for (int bits = 2; bits <= 8; ++bits) {
    for (const ZeroKind zero : {ZeroKind::kConstant, ZeroKind::kPoints, ZeroKind::kMinima}) {
      for (const std::int64_t group : {16, 32, 1000}) {
        TestWeight w;
        make_weight({35, 75, bits, group, FloatType::kF16, zero}, random, w);
        for (const std::int64_t row : {0, 16, 34}) {
          std::vector<float> got(75), want(75);
          decode_grouped_row(w.view, row, got.data());
          for (std::int64_t i = 0; i < 75; ++i)
            want[static_cast<std::size_t>(i)] = decoded(w, row, i);
          REQUIRE(first_difference(got, want) == "");
        }
      }
    }
  }
}

}  // namespace thimble::kernels

// Tables of levels: the fixed ones against their definitions (scripts/oracle/level_codes.py), and
// that fitting one to a tensor never loses to a plain grid or to the normal levels.

#include "quant/levels.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "data/npz.h"
#include "quant/decode.h"
#include "unit/catch.h"
#include "unit/quant/weights.h"

using namespace thimble;
using namespace thimble::quant;

namespace {

ir::Encoding with_table(std::vector<float> table, int bits, std::int64_t group) {
  ir::Encoding e = test::affine(bits, group, ir::ZeroKind::kConstant);
  e.kind = ir::EncodingKind::kCodebook;
  e.table = std::move(table);
  return e;
}

double error_of(const std::vector<float>& weights, std::int64_t inputs, const ir::Encoding& e,
                const SearchOptions& options) {
  const std::int64_t rows = std::ssize(weights) / inputs;
  ir::Rows out;
  REQUIRE(quantize_rows({weights, rows, inputs}, e, options, out));
  std::vector<float> decoded(weights.size());
  REQUIRE(decode_rows(e, out, rows, inputs, decoded.data()));
  double error = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const double d = static_cast<double>(weights[i]) - static_cast<double>(decoded[i]);
    const double cost =
        options.importance.empty() ? 1.0 : options.importance[i % static_cast<std::size_t>(inputs)];
    error += cost * d * d;
  }
  return error;
}

template <class T>
std::vector<T> read(const std::vector<data::Array>& arrays, const std::string& name) {
  const data::Array* array = data::find(arrays, name);
  REQUIRE(array != nullptr);
  std::vector<T> out(static_cast<std::size_t>(array->count()));
  REQUIRE(array->bytes.size() == out.size() * sizeof(T));
  std::memcpy(out.data(), array->bytes.data(), array->bytes.size());
  return out;
}

}  // namespace

TEST_CASE("NF4 has the levels and codes of its paper") {
  const auto arrays =
      data::read_npz(std::string(THIMBLE_SOURCE_DIR) + "/tests/data/oracle/level_codes.npz");
  REQUIRE(arrays);
  const auto levels = read<double>(*arrays, "levels");
  const std::vector<float> ours = nf4_levels();
  REQUIRE(levels.size() == ours.size());
  for (std::size_t i = 0; i < ours.size(); ++i)
    CHECK(std::fabs(127 * levels[i] - static_cast<double>(ours[i])) <= 0.5);
  const auto weights = read<float>(*arrays, "weights");
  const std::int64_t inputs = data::find(*arrays, "weights")->dims[1];
  ir::Encoding encoding = with_table(ours, 4, 32);
  encoding.scale_type = ir::DType::kF32;
  ir::Rows out;
  SearchOptions absmax;
  absmax.search = Search::kAbsmax;
  REQUIRE(quantize_rows({weights, std::ssize(weights) / inputs, inputs}, encoding, absmax, out));
  CHECK(out.codes == read<std::uint8_t>(*arrays, "codes"));
}

TEST_CASE("fitted levels never lose to normal or uniform ones") {
  constexpr std::int64_t kRows = 48, kInputs = 192;
  const std::vector<float> weights = test::heavy_tailed(kRows * kInputs, 5);
  SearchOptions options;
  options.search = GENERATE(Search::kMse, Search::kAbsmax);
  if (GENERATE(false, true)) {
    for (std::int64_t i = 0; i < kInputs; ++i)
      options.importance.push_back(1.0f / static_cast<float>(1 + i % 7));
  }
  for (const int bits : {2, 3, 4}) {
    for (const std::int64_t group : {16, 64, 0}) {
      CAPTURE(bits, group);
      const ir::Encoding plain = test::affine(bits, group, ir::ZeroKind::kConstant);
      const ir::Encoding normal = with_table(normal_levels(bits), bits, group);
      const auto levels = fit_levels({weights, kRows, kInputs}, normal, options);
      REQUIRE(levels);
      for (const float level : *levels) CHECK((level == std::round(level) && level >= -128));
      const double fitted = error_of(weights, kInputs, with_table(*levels, bits, group), options);
      CHECK(fitted <= error_of(weights, kInputs, normal, options));
      if (options.search == Search::kMse)
        CHECK(fitted <= 1.0001 * error_of(weights, kInputs, plain, options));
    }
  }
}

TEST_CASE("levels are found where weights take few values") {
  constexpr std::int64_t kRows = 64, kInputs = 128;
  const float values[] = {-1.0f, -0.3f, 0.1f, 0.7f};
  std::vector<float> weights(kRows * kInputs);
  Rng rng(9, "choice");
  for (float& w : weights) w = 0.05f * values[rng.below(4)];
  ir::Encoding encoding = with_table({}, 2, 32);
  const auto levels = fit_levels({weights, kRows, kInputs}, encoding, {});
  REQUIRE(levels);
  encoding.table = *levels;
  const double signal = std::inner_product(weights.begin(), weights.end(), weights.begin(), 0.0);
  CHECK(error_of(weights, kInputs, encoding, {}) < 1e-4 * signal);
  encoding.table = normal_levels(2);
  CHECK(error_of(weights, kInputs, encoding, {}) > 1e-3 * signal);
}

TEST_CASE("levels are fitted to super-blocks, to zeros and to few rows") {
  ir::Encoding super = with_table({}, 3, 32);
  super.kind = ir::EncodingKind::kSuperBlock;
  super.super_size = 96;
  super.sub_bits = 6;
  super.sub_scale_zero = 32;
  const std::vector<float> weights = test::heavy_tailed(20 * 96, 8);
  const auto levels = fit_levels({weights, 20, 96}, super, {});
  REQUIRE(levels);
  super.table = *levels;
  const double fitted = error_of(weights, 96, super, {});
  super.table = normal_levels(3);
  CHECK(fitted <= error_of(weights, 96, super, {}));
  const std::vector<float> zeros(32);
  CHECK(fit_levels({zeros, 1, 32}, with_table({}, 4, 32), {}).value() == normal_levels(4));
  const std::vector<float> broken = {1.0f, std::numeric_limits<float>::quiet_NaN()};
  CHECK_FALSE(fit_levels({broken, 1, 2}, with_table({}, 4, 32), {}));
}

namespace {

// All numbers of E4M3 above 0, by its definition.
std::vector<double> e4m3_numbers() {
  std::vector<double> numbers;
  for (int byte = 1; byte < 127; ++byte) {
    const int power = byte >> 3, fraction = byte & 7;
    numbers.push_back(power == 0 ? std::ldexp(fraction, -9) : std::ldexp(8 + fraction, power - 10));
  }
  return numbers;
}

double nearest_level(double value) {
  double best = 0;
  for (const float level : e2m1_levels()) {
    if (std::fabs(value - static_cast<double>(level)) < std::fabs(value - best))
      best = static_cast<double>(level);
  }
  return best;
}

}  // namespace

TEST_CASE("MXFP4 takes the specification's powers of two") {
  const std::int64_t inputs = 64;
  const std::vector<float> weights = test::heavy_tailed(32 * inputs, 5);
  ir::Encoding e = with_table(e2m1_levels(), 4, 32);
  e.scale_type = ir::DType::kF8E8M0;
  SearchOptions absmax;
  absmax.search = Search::kAbsmax;
  ir::Rows out;
  REQUIRE(quantize_rows({weights, 32, inputs}, e, absmax, out));
  std::vector<float> decoded(weights.size());
  REQUIRE(decode_rows(e, out, 32, inputs, decoded.data()));
  for (std::size_t g = 0; g < out.scales.size(); ++g) {
    double extreme = 0;
    for (std::size_t i = 0; i < 32; ++i)
      extreme = std::max(extreme, std::fabs(static_cast<double>(weights[g * 32 + i])));
    // 2^(floor(log2 of the extreme) - 2), and half of it for levels that are doubled.
    const double scale = std::exp2(std::floor(std::log2(extreme)) - 3);
    CHECK(static_cast<double>(out.scales[g]) == scale);
    for (std::size_t i = g * 32; i < g * 32 + 32; ++i) {
      const double x = static_cast<double>(weights[i]);
      const double ideal = scale * nearest_level(x / scale);
      CHECK(std::fabs(x - static_cast<double>(decoded[i])) <= std::fabs(x - ideal) * 1.000001);
    }
  }
  SearchOptions search;
  CHECK(error_of(weights, inputs, e, search) <= error_of(weights, inputs, e, absmax));
}

TEST_CASE("NVFP4's scales are numbers of E4M3 times a power of two") {
  const std::vector<double> numbers = e4m3_numbers();
  for (const float size : {1.0f, 1e-6f, 3e5f}) {
    std::vector<float> weights = test::heavy_tailed(16 * 64, 6);
    float extreme = 0;
    for (float& w : weights) w *= size, extreme = std::max(extreme, std::fabs(w));
    ir::Encoding e = with_table(e2m1_levels(), 4, 16);
    e.scale_type = ir::DType::kF8E4M3FN;
    e.scale_exponent = nvfp4_exponent(extreme);
    ir::Rows out;
    REQUIRE(quantize_rows({weights, 16, 64}, e, {}, out));
    for (const float scale : out.scales) {
      const double units = std::ldexp(static_cast<double>(scale), -e.scale_exponent);
      CHECK(std::find(numbers.begin(), numbers.end(), units) != numbers.end());
    }
    double signal = 0;
    for (const float w : weights) signal += static_cast<double>(w) * static_cast<double>(w);
    CHECK(error_of(weights, 64, e, {}) < 0.01 * signal);
  }
}

TEST_CASE("ternary codes are -1, 0 and 1") {
  const std::vector<float> weights = test::heavy_tailed(16 * 256, 7);
  ir::Rows out;
  const ir::Encoding e = with_table(ternary_levels(), 2, 256);
  REQUIRE(quantize_rows({weights, 16, 256}, e, {}, out));
  std::vector<float> decoded(weights.size());
  REQUIRE(decode_rows(e, out, 16, 256, decoded.data()));
  for (std::size_t i = 0; i < decoded.size(); ++i) {
    const float scale = out.scales[i / 256];
    CHECK((decoded[i] == 0 || decoded[i] == scale || decoded[i] == -scale));
  }
}

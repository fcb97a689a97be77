// Tables of levels: the fixed ones against their definitions (scripts/oracle/level_codes.py), and
// that fitting one to a tensor never loses to a plain grid or to the normal levels.

#include "quant/levels.h"

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
  REQUIRE(quantize_rows(weights, rows, inputs, e, options, out));
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
  REQUIRE(quantize_rows(weights, std::ssize(weights) / inputs, inputs, encoding, absmax, out));
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
      const auto levels = fit_levels(weights, kRows, kInputs, normal, options);
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
  const auto levels = fit_levels(weights, kRows, kInputs, encoding, {});
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
  const auto levels = fit_levels(weights, 20, 96, super, {});
  REQUIRE(levels);
  super.table = *levels;
  const double fitted = error_of(weights, 96, super, {});
  super.table = normal_levels(3);
  CHECK(fitted <= error_of(weights, 96, super, {}));
  const std::vector<float> zeros(32);
  CHECK(fit_levels(zeros, 1, 32, with_table({}, 4, 32), {}).value() == normal_levels(4));
  const std::vector<float> broken = {1.0f, std::numeric_limits<float>::quiet_NaN()};
  CHECK_FALSE(fit_levels(broken, 1, 2, with_table({}, 4, 32), {}));
}

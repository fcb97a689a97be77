#include "quant/super_block.h"

#include <cmath>

#include "quant/decode.h"
#include "quant/gptq.h"
#include "quant/hessian.h"
#include "quant/parallel.h"
#include "quant/quantize.h"
#include "support/half.h"
#include "unit/catch.h"
#include "unit/quant/hessians.h"
#include "unit/quant/weights.h"

using namespace thimble;
using namespace thimble::quant;

namespace {

constexpr std::int64_t kRows = 21, kInputs = 300;

ir::Encoding super(int bits, std::int64_t group, int sub_bits, std::int64_t size) {
  ir::Encoding e = test::affine(bits, group, ir::ZeroKind::kConstant);
  e.kind = ir::EncodingKind::kSuperBlock;
  e.super_size = size;
  e.sub_bits = sub_bits;
  e.sub_scale_zero = 1 << (sub_bits - 1);
  return e;
}

const std::vector<float> kTable = {-127, -95, -73, -56, -42, -30, -19, -9,
                                   1,    11,  22,  33,  45,  60,  78,  100};

ir::Rows quantize(const std::vector<float>& weights, const ir::Encoding& e, Search search,
                  std::vector<float> importance = {}) {
  SearchOptions options;
  options.search = search;
  options.importance = std::move(importance);
  ir::Rows out;
  const auto rows = static_cast<std::int64_t>(weights.size()) / kInputs;
  REQUIRE(quantize_rows({weights, rows, kInputs}, e, options, out).has_value());
  return out;
}

double error(const std::vector<float>& weights, const ir::Encoding& e, const ir::Rows& rows) {
  std::vector<float> decoded(weights.size());
  REQUIRE(decode_rows(e, rows, rows.count, kInputs, decoded.data()).has_value());
  double sum = 0;
  for (std::size_t i = 0; i < weights.size(); ++i)
    sum += std::pow(static_cast<double>(weights[i]) - decoded[i], 2);
  return sum;
}

}  // namespace

TEST_CASE("super-blocks: streams, and about the error of scales of their own") {
  const std::vector<float> weights = test::heavy_tailed(kRows * kInputs, 5);
  for (const std::int64_t size : {96, 320}) {
    for (const auto& [sub_bits, most] :
         {std::pair(4, 1.6), std::pair(6, 1.03), std::pair(8, 1.01)}) {
      for (const int bits : {2, 3, 4}) {
        INFO(bits << " bits, sub-scales of " << sub_bits << " under " << size);
        const ir::Encoding e = super(bits, 32, sub_bits, size);
        const ir::Rows rows = quantize(weights, e, Search::kMse);
        CHECK(rows.scales.size() == static_cast<std::size_t>(kRows * e.supers(kInputs)));
        CHECK(rows.sub_scales.size() == static_cast<std::size_t>(kRows * 10));
        for (const std::uint8_t sub : rows.sub_scales) CHECK(sub < 1 << sub_bits);
        for (const float scale : rows.scales) CHECK(half_to_float(float_to_half(scale)) == scale);
        const ir::Encoding own = test::affine(bits, 32, ir::ZeroKind::kConstant);
        CHECK(error(weights, e, rows) <
              most * error(weights, own, quantize(weights, own, Search::kMse)));
        CHECK(error(weights, e, rows) <= error(weights, e, quantize(weights, e, Search::kAbsmax)));
      }
    }
  }
}

TEST_CASE("a row of super-blocks depends on itself alone, and zeros stay zeros") {
  std::vector<float> weights = test::heavy_tailed(kRows * kInputs, 6);
  std::fill_n(weights.begin() + 2 * kInputs, kInputs, 0.0f);               // a row
  std::fill_n(weights.begin() + 3 * kInputs + 32, std::size_t{32}, 0.0f);  // a group
  const ir::Encoding e = super(3, 32, 6, 320);
  const ir::Rows all = quantize(weights, e, Search::kMse);
  for (const std::int64_t row : {0, 2, 3, 20}) {
    const auto begin = weights.begin() + row * kInputs;
    const ir::Rows alone = quantize(std::vector<float>(begin, begin + kInputs), e, Search::kMse);
    CHECK(alone.scales.front() == all.scales[static_cast<std::size_t>(row)]);
    CHECK(std::equal(alone.sub_scales.begin(), alone.sub_scales.end(),
                     all.sub_scales.begin() + row * 10));
    CHECK(std::equal(alone.codes.begin(), alone.codes.end(), all.codes.begin() + row * kInputs));
  }
  std::vector<float> decoded(weights.size());
  REQUIRE(decode_rows(e, all, kRows, kInputs, decoded.data()).has_value());
  for (std::size_t i = 0; i < kInputs; ++i) CHECK(decoded[2 * kInputs + i] == 0);
  for (std::size_t i = 32; i < 64; ++i) CHECK(decoded[3 * kInputs + i] == 0);
  ThreadPool pool(3);
  ir::Rows parallel;
  REQUIRE(quantize_rows_parallel({weights, kRows, kInputs}, e, SearchOptions(), parallel, pool));
  CHECK(parallel.codes == all.codes);
  CHECK(parallel.sub_scales == all.sub_scales);
  CHECK(parallel.scales == all.scales);
}

TEST_CASE("a table of levels fits better than whole numbers, alone and under super-blocks") {
  const std::vector<float> weights = test::heavy_tailed(kRows * kInputs, 7);
  const ir::Encoding uniform = test::affine(4, 32, ir::ZeroKind::kConstant);
  ir::Encoding table = uniform;
  table.kind = ir::EncodingKind::kCodebook;
  table.table = kTable;
  ir::Encoding both = super(4, 32, 6, 320);
  both.table = kTable;
  const double plain = error(weights, uniform, quantize(weights, uniform, Search::kMse));
  CHECK(error(weights, table, quantize(weights, table, Search::kMse)) < 0.85 * plain);
  CHECK(error(weights, both, quantize(weights, both, Search::kMse)) < 0.85 * plain);
  // The extreme weight is the extreme entry, of either sign.
  const ir::Rows rows = quantize(weights, table, Search::kAbsmax);
  CHECK(error(weights, table, rows) < 1.5 * plain);
  // A table of whole numbers is the affine encoding.
  table.table.clear();
  for (int code = -8; code < 8; ++code) table.table.push_back(static_cast<float>(code));
  const ir::Rows same = quantize(weights, table, Search::kMse);
  CHECK(error(weights, table, same) == Approx(plain).epsilon(0.01));
}

TEST_CASE("GPTQ writes super-blocks and tables") {
  const std::vector<float> weights = test::heavy_tailed(kRows * kInputs, 8);
  const std::vector<float> x = test::correlated_inputs(400, kInputs, 9);
  const std::vector<double> hessian = test::hessian_of(x, kInputs);
  ThreadPool pool(2);
  for (const bool table : {false, true}) {
    ir::Encoding e = super(4, 16, 6, 304);
    if (table) e.table = kTable;
    for (const bool act_order : {false, true}) {
      GptqOptions options;
      options.act_order = act_order;
      const auto result = test::gptq({weights, kRows, kInputs}, hessian, e, options, pool);
      REQUIRE(result);
      CHECK(result->error < 0.8 * result->rounding_error);
      // Scales are those of rounding; only codes changed.
      const Hessian view = *Hessian::make(hessian, kInputs);
      const ir::Rows rounded = quantize(weights, e, Search::kMse, view.importance());
      CHECK(result->rows.sub_scales == rounded.sub_scales);
      CHECK(result->rows.scales == rounded.scales);
      CHECK(result->rows.codes != rounded.codes);
    }
  }
}

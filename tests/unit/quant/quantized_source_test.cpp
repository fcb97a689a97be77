#include <atomic>
#include <cstring>
#include <limits>
#include <thread>

#include "quant/decode.h"
#include "quant/error_metrics.h"
#include "quant/quantize.h"
#include "support/half.h"
#include "unit/catch.h"
#include "unit/quant/weights.h"

using namespace thimble;
using namespace thimble::quant;
using test::affine;

namespace {

ir::Weight quantized(const ir::Weight& from, const ir::Encoding& e, Search search = Search::kMse) {
  SearchOptions options;
  options.search = search;
  auto source = quantized_source(from, e, options);
  REQUIRE(source.has_value());
  ir::Weight out = from;
  out.encoding = e;
  out.source = *source;
  return out;
}

double sqnr(const ir::Weight& from, const ir::Weight& to) {
  const auto a = ir::read_floats(from), b = ir::read_floats(to);
  REQUIRE(a.has_value());
  REQUIRE(b.has_value());
  ErrorMetrics metrics;
  metrics.add(*a, *b);
  return metrics.sqnr_db();
}

// Counts the rows that were released.
class Counting : public ir::WeightSource {
 public:
  explicit Counting(std::shared_ptr<const ir::WeightSource> inner) : inner_(std::move(inner)) {}
  Expected<ir::Rows> read(std::int64_t begin, std::int64_t end) const override {
    return inner_->read(begin, end);
  }
  void release(std::int64_t begin, std::int64_t end) const override { released_ += end - begin; }
  std::string describe() const override { return "counted"; }
  std::int64_t released() const { return released_; }

 private:
  std::shared_ptr<const ir::WeightSource> inner_;
  mutable std::int64_t released_ = 0;
};

}  // namespace

TEST_CASE("rows and columns that were read are released") {
  for (const int axis : {0, 1}) {
    CAPTURE(axis);
    ir::Weight from =
        ir::make_dense("w", {64, 32}, std::span<const float>(test::heavy_tailed(2048, 3)));
    const auto counting = std::make_shared<Counting>(from.source);
    from.source = counting;
    ir::Encoding e = affine(4, 32, ir::ZeroKind::kConstant);
    e.axis = axis;
    const ir::Weight to = quantized(from, e);
    for (std::int64_t row = 0; row < to.rows(); row += 16) {
      REQUIRE(to.source->read(row, row + 16).has_value());
      to.source->release(row, row + 16);
    }
    CHECK(counting->released() == 64);
  }
}

TEST_CASE("a quantized weight is the same in one piece and in many") {
  const ir::Weight from =
      ir::make_dense("w", {50, 96}, std::span<const float>(test::heavy_tailed(50 * 96, 1)));
  const ir::Weight to = quantized(from, affine(4, 32, ir::ZeroKind::kPoints));
  const auto all = to.source->read(0, 50);
  REQUIRE(all.has_value());
  for (std::int64_t row = 0; row < 50; row += 7) {
    const auto some = to.source->read(row, std::min<std::int64_t>(row + 7, 50));
    REQUIRE(some.has_value());
    CHECK(std::equal(some->codes.begin(), some->codes.end(), all->codes.begin() + row * 96));
    CHECK(std::equal(some->zero_points.begin(), some->zero_points.end(),
                     all->zero_points.begin() + row * 3));
  }
  CHECK(to.source->describe() == "in memory as uint4 group 32 points f16");
}

TEST_CASE("the error is known once all rows were read, and is right") {
  const ir::Weight from =
      ir::make_dense("w", {20, 64}, std::span<const float>(test::heavy_tailed(20 * 64, 2)));
  const ir::Weight to = quantized(from, affine(3, 32, ir::ZeroKind::kConstant));
  REQUIRE(to.source->read(0, 19).has_value());
  CHECK_FALSE(to.source->relative_error().has_value());
  REQUIRE(to.source->read(10, 20).has_value());
  REQUIRE(to.source->relative_error().has_value());
  const auto a = ir::read_floats(from), b = ir::read_floats(to);
  ErrorMetrics metrics;
  metrics.add(*a, *b);
  CHECK(*to.source->relative_error() == Approx(metrics.relative_squared()).epsilon(1e-4));
}

TEST_CASE("a [K, N] weight is quantized along its columns") {
  const std::int64_t inputs = 600, outputs = 20;
  const std::vector<float> w = test::heavy_tailed(inputs * outputs, 3);
  std::vector<float> transposed(w.size());
  for (std::int64_t k = 0; k < inputs; ++k) {
    for (std::int64_t n = 0; n < outputs; ++n) {
      transposed[static_cast<std::size_t>(n * inputs + k)] =
          w[static_cast<std::size_t>(k * outputs + n)];
    }
  }
  ir::Encoding e = affine(4, 32, ir::ZeroKind::kConstant);
  const ir::Weight straight =
      quantized(ir::make_dense("w", {outputs, inputs}, std::span<const float>(transposed)), e);
  e.axis = 0;
  const ir::Weight across =
      quantized(ir::make_dense("w", {inputs, outputs}, std::span<const float>(w)), e);
  const auto a = straight.source->read(3, 18), b = across.source->read(3, 18);
  REQUIRE(b.has_value());
  CHECK(a->codes == b->codes);
  CHECK(a->scales == b->scales);
  CHECK(sqnr(ir::make_dense("w", {inputs, outputs}, std::span<const float>(w)), across) > 15);
}

TEST_CASE("sources of 16-bit floats, of more dims, and encoded ones") {
  const std::vector<float> w = test::heavy_tailed(6 * 4 * 64, 4);
  std::vector<std::byte> bytes(w.size() * 2);
  for (std::size_t i = 0; i < w.size(); ++i) {
    const std::uint16_t bits = float_to_bfloat(w[i]);
    std::memcpy(bytes.data() + i * 2, &bits, 2);
  }
  ir::Weight from;
  from.name = "w";
  from.dtype = ir::DType::kBF16;
  from.dims = {6, 4, 64};
  from.source = ir::owned_dense(bytes, 4 * 64 * 2);
  const ir::Weight eight = quantized(from, affine(8, 32, ir::ZeroKind::kConstant));
  CHECK(eight.rows() == 24);
  CHECK(sqnr(from, eight) > 40);
  const auto middle = eight.source->read(5, 7), all = eight.source->read(0, 24);
  REQUIRE(middle.has_value());
  CHECK(std::equal(middle->codes.begin(), middle->codes.end(), all->codes.begin() + 5 * 64));
  const ir::Weight four = quantized(eight, affine(4, 64, ir::ZeroKind::kMinima));
  CHECK(sqnr(from, four) > 17);
  const auto rows = decode_rows(eight, 2, 4);
  REQUIRE(rows.has_value());
  CHECK(rows->size() == 128);
}

TEST_CASE("one scale for a whole tensor, found once, whoever asks first") {
  const ir::Weight from =
      ir::make_dense("w", {100, 64}, std::span<const float>(test::heavy_tailed(6400, 5)));
  for (const auto zero : {ir::ZeroKind::kConstant, ir::ZeroKind::kPoints, ir::ZeroKind::kMinima}) {
    ir::Encoding e = affine(8, 0, zero);
    e.per_tensor = true;
    const ir::Weight to = quantized(from, e), plain = quantized(from, e, Search::kAbsmax);
    std::atomic<int> good = 0;
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        const auto rows = to.source->read(t * 25, t * 25 + 25);
        good += rows.has_value() && rows->scales.size() == 1 && rows->codes.size() == 25 * 64;
      });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(good == 4);
    CHECK(to.source->read(0, 1)->scales == to.source->read(99, 100)->scales);
    CHECK(sqnr(from, to) >= sqnr(from, plain) - 0.001);
    CHECK(sqnr(from, to) > 24);
  }
}

TEST_CASE("what cannot be quantized is refused with the tensor's name") {
  ir::Weight from =
      ir::make_dense("w", {2, 3, 4}, std::span<const float>(test::heavy_tailed(24, 6)));
  ir::Encoding e = affine(4, 32, ir::ZeroKind::kConstant);
  e.axis = 1;
  const auto refused = quantized_source(from, e, SearchOptions());
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().place.tensor == "w");
  std::vector<float> bad = test::heavy_tailed(24, 7);
  bad[13] = std::numeric_limits<float>::infinity();
  const ir::Weight infinite = quantized(ir::make_dense("bad", {6, 4}, std::span<const float>(bad)),
                                        affine(4, 32, ir::ZeroKind::kConstant));
  const auto rows = infinite.source->read(2, 6);
  REQUIRE_FALSE(rows.has_value());
  CHECK(rows.error().place.tensor == "bad");
}

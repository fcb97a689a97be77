#include "eval/tensors.h"

#include <cstring>

#include "ir/model.h"
#include "lower/lower.h"
#include "unit/catch.h"

namespace thimble::eval {
namespace {

// The input as it is, or scaled and moved.
program::Bundle bundle_of(const std::string& body, ThreadPool& pool) {
  auto model = ir::parse(
      "weight @two: f32[] = [2.0]\nweight @move: f32[3] = [0.0, 0.5, 0.0]\n"
      "graph g(%x: f32[1, 3]) {\n  " +
      body + "\n  return %y\n}\n");
  REQUIRE(model.has_value());
  REQUIRE(ir::infer_shapes(*model).has_value());
  auto bundle = lower::load(*model, pool);
  REQUIRE(bundle.has_value());
  return *std::move(bundle);
}

class Rows : public data::SampleSource {
 public:
  explicit Rows(std::vector<std::vector<float>> rows) : rows_(std::move(rows)) {}
  std::size_t size() const override { return rows_.size(); }
  Expected<std::vector<data::Array>> read(std::size_t index) const override {
    data::Array array{"x", "<f4", {1, 3}, std::vector<std::byte>(12)};
    std::memcpy(array.bytes.data(), rows_[index].data(), 12);
    return std::vector<data::Array>{array};
  }
  std::optional<std::int64_t> label(std::size_t index) const override {
    return static_cast<std::int64_t>(index % 3);
  }

 private:
  std::vector<std::vector<float>> rows_;
};

double value_of(const std::vector<Metric>& metrics, const std::string& name) {
  const Metric* metric = find(metrics, name);
  REQUIRE(metric != nullptr);
  CHECK(metric->interval.low <= metric->interval.value);
  CHECK(metric->interval.high >= metric->interval.value);
  return metric->interval.value;
}

TEST_CASE("accuracy, agreement, cosine and noise of tensors") {
  ThreadPool pool(1);
  const program::Bundle same = bundle_of("%y: f32[1, 3] = Identity(%x)", pool);
  const program::Bundle moved = bundle_of("%y: f32[1, 3] = Add(%x, @move)", pool);
  const program::Bundle doubled = bundle_of("%y: f32[1, 3] = Mul(%x, @two)", pool);
  // Labels 0, 1, 2, 0: the first three are named right.
  const Rows rows({{1, 0, 0}, {0, 1, 0}, {0, 0.75f, 1}, {0, 0, 3}});

  const auto exact = score_tensors(same, &same, rows, pool, {});
  REQUIRE(exact.has_value());
  const auto metrics = summarize_tensors(*exact);
  CHECK(value_of(metrics, "top1_accuracy") == 0.75);
  CHECK(value_of(metrics, "top1_drop") == 0);
  CHECK(value_of(metrics, "top1_agreement") == 1);
  CHECK(value_of(metrics, "cosine_min") == Approx(1));
  CHECK(value_of(metrics, "sqnr_db") == 320);

  const auto noisy = summarize_tensors(*score_tensors(moved, &same, rows, pool, {}));
  CHECK(value_of(noisy, "top1_accuracy") == 0.5);
  CHECK(value_of(noisy, "top1_drop") == 0.25);
  CHECK(value_of(noisy, "top1_agreement") == 0.75);
  // Signal 1 + 1 + 1.5625 + 9, noise 4 * 0.25.
  CHECK(value_of(noisy, "sqnr_db") == Approx(10.9907).margin(1e-3));

  const auto scaled = summarize_tensors(*score_tensors(doubled, &same, rows, pool, {}));
  CHECK(value_of(scaled, "cosine_mean") == Approx(1));
  CHECK(value_of(scaled, "sqnr_db") == Approx(0).margin(1e-9));

  CHECK(score_tensors(same, nullptr, rows, pool, {.max_calls = 2})->calls.size() == 2);
  CHECK(find(summarize_tensors(*score_tensors(same, nullptr, rows, pool, {})), "cosine_mean") ==
        nullptr);
}

}  // namespace
}  // namespace thimble::eval

#include "calibrate/statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "linalg/gram.h"
#include "support/error.h"

namespace thimble::calibrate {

std::uint64_t statistics_bytes(std::int64_t width, bool with_gram) {
  const auto n = static_cast<std::uint64_t>(width);
  return n * 44 + (with_gram ? n * n * (sizeof(float) + sizeof(double)) : 0);
}

StatisticsAccumulator::StatisticsAccumulator(std::int64_t width, bool with_gram, ThreadPool& pool)
    : pool_(pool) {
  const auto n = static_cast<std::size_t>(width);
  total_.width = width;
  total_.energy.resize(n);
  total_.absolute.resize(n);
  total_.sum.resize(n);
  total_.low.assign(n, std::numeric_limits<float>::infinity());
  total_.high.assign(n, -std::numeric_limits<float>::infinity());
  energy_.resize(n);
  absolute_.resize(n);
  sum_.resize(n);
  if (!with_gram) return;
  total_.gram.resize(n * n);
  gram_.resize(n * n);
}

void StatisticsAccumulator::add(std::span<const float> rows) {
  const auto width = static_cast<std::size_t>(total_.width);
  THIMBLE_CHECK(rows.size() % width == 0, "rows are whole");
  while (!rows.empty()) {
    const std::int64_t count =
        std::min(static_cast<std::int64_t>(rows.size() / width), kShardTokens - in_shard_);
    add_to_shard(rows.first(static_cast<std::size_t>(count) * width), count);
    rows = rows.subspan(static_cast<std::size_t>(count) * width);
    if (in_shard_ == kShardTokens) close_shard();
  }
}

void StatisticsAccumulator::add_to_shard(std::span<const float> rows, std::int64_t count) {
  const auto width = static_cast<std::size_t>(total_.width);
  for (std::size_t at = 0; at < rows.size(); at += width) {
    for (std::size_t i = 0; i < width; ++i) {
      const float x = rows[at + i];
      energy_[i] += x * x;
      absolute_[i] += std::fabs(x);
      sum_[i] += x;
      total_.low[i] = x < total_.low[i] ? x : total_.low[i];
      total_.high[i] = x > total_.high[i] ? x : total_.high[i];
    }
  }
  if (!gram_.empty()) linalg::gram(rows, count, total_.width, gram_, pool_);
  in_shard_ += count;
  total_.tokens += count;
}

void StatisticsAccumulator::close_shard() {
  for (std::size_t i = 0; i < energy_.size(); ++i) {
    total_.energy[i] += energy_[i];
    total_.absolute[i] += absolute_[i];
    total_.sum[i] += sum_[i];
  }
  if (!gram_.empty()) linalg::fold(gram_, total_.gram, pool_);
  for (std::vector<float>* sums : {&energy_, &absolute_, &sum_, &gram_})
    std::fill(sums->begin(), sums->end(), 0.0f);
  in_shard_ = 0;
}

InputStatistics StatisticsAccumulator::finish() {
  if (in_shard_ > 0) close_shard();
  gram_ = {};
  return std::move(total_);
}

}  // namespace thimble::calibrate

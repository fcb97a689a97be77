#include "calibrate/statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "linalg/gram.h"
#include "support/error.h"

namespace thimble::calibrate {

std::uint64_t statistics_bytes(std::int64_t width, Products products) {
  const auto n = static_cast<std::uint64_t>(width);
  const std::uint64_t matrices = products == Products::kNone   ? 0
                                 : products == Products::kGram ? 1
                                                               : 2;
  return n * 44 + matrices * n * n * (sizeof(float) + sizeof(double));
}

StatisticsAccumulator::StatisticsAccumulator(std::int64_t width, Products products,
                                             ThreadPool& pool)
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
  if (products == Products::kNone) return;
  total_.gram.resize(n * n);
  gram_.resize(n * n);
  if (products != Products::kGramAndDrift) return;
  total_.drift.resize(n * n);
  drift_.resize(n * n);
}

void StatisticsAccumulator::add(std::span<const float> rows, std::span<const float> others) {
  const auto width = static_cast<std::size_t>(total_.width);
  THIMBLE_CHECK(rows.size() % width == 0, "rows are whole");
  THIMBLE_CHECK(others.size() == (drift_.empty() ? 0 : rows.size()), "rows have their others");
  while (!rows.empty()) {
    const std::int64_t count =
        std::min(static_cast<std::int64_t>(rows.size() / width), kShardTokens - in_shard_);
    const std::size_t taken = static_cast<std::size_t>(count) * width;
    add_to_shard(rows.first(taken), others.first(others.empty() ? 0 : taken), count);
    rows = rows.subspan(taken);
    if (!others.empty()) others = others.subspan(taken);
    if (in_shard_ == kShardTokens) close_shard();
  }
}

void StatisticsAccumulator::add_to_shard(std::span<const float> rows, std::span<const float> others,
                                         std::int64_t count) {
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
  if (!drift_.empty()) {
    std::vector<float> differences(others.begin(), others.end());
    for (std::size_t i = 0; i < rows.size(); ++i) differences[i] -= rows[i];
    linalg::cross_gram(differences, rows, count, total_.width, total_.width, drift_, pool_);
  }
  in_shard_ += count;
  total_.tokens += count;
}

void StatisticsAccumulator::close_shard() {
  for (std::size_t i = 0; i < energy_.size(); ++i) {
    total_.energy[i] += energy_[i];
    total_.absolute[i] += absolute_[i];
    total_.sum[i] += sum_[i];
  }
  linalg::fold(gram_, total_.gram, pool_);
  linalg::fold(drift_, total_.drift, pool_);
  for (std::vector<float>* sums : {&energy_, &absolute_, &sum_, &gram_, &drift_})
    std::fill(sums->begin(), sums->end(), 0.0f);
  in_shard_ = 0;
}

InputStatistics StatisticsAccumulator::finish() {
  if (in_shard_ > 0) close_shard();
  gram_ = {};
  drift_ = {};
  return std::move(total_);
}

}  // namespace thimble::calibrate

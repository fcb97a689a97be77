#pragma once
// What a calibration learns of a product's input. Sums run over shards of kShardTokens rows: f32
// in order within a shard, shards folded in index order in f64. So the result depends neither on
// threads nor on how rows come in, and is as precise for millions of tokens as for thousands.

#include <cstdint>
#include <span>
#include <vector>

#include "support/thread_pool.h"

namespace thimble::calibrate {

inline constexpr std::int64_t kShardTokens = 8192;

// Which products of inputs with inputs are summed: the rest is cheap.
enum class Products : std::uint8_t { kNone, kGram, kGramAndDrift };

struct InputStatistics {
  std::int64_t tokens = 0;
  std::int64_t width = 0;
  std::vector<double> gram;      // X^T X, [width, width], the lower triangle; empty: not asked for
  std::vector<double> drift;     // (Y - X)^T X, [width, width], Y the inputs elsewhere; or empty
  std::vector<double> energy;    // sum of x^2, [width]
  std::vector<double> absolute;  // sum of |x|, [width]
  std::vector<double> sum;       // of x, [width]
  std::vector<float> low, high;  // extremes, [width]
};

// Bytes that an accumulator takes while it adds.
std::uint64_t statistics_bytes(std::int64_t width, Products products);

class StatisticsAccumulator {
 public:
  // The pool must outlive the accumulator.
  StatisticsAccumulator(std::int64_t width, Products products, ThreadPool& pool);
  // Rows [rows, width], row-major; `others`: as many, what the drift is from, where that is summed.
  void add(std::span<const float> rows, std::span<const float> others = {});
  InputStatistics finish();  // the last shard may be shorter; the accumulator is spent

 private:
  void add_to_shard(std::span<const float> rows, std::span<const float> others, std::int64_t count);
  void close_shard();

  ThreadPool& pool_;
  InputStatistics total_;
  std::int64_t in_shard_ = 0;  // rows
  std::vector<float> gram_, drift_, energy_, absolute_, sum_;
};

}  // namespace thimble::calibrate

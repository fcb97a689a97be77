#include "linalg/gram.h"

#include "support/error.h"

namespace thimble::linalg {

void gram(std::span<const float> x, std::int64_t tokens, std::int64_t n, std::span<float> h,
          ThreadPool& pool, const GemmKernels* kernels) {
  THIMBLE_CHECK(std::ssize(x) == tokens * n && std::ssize(h) == n * n, "shapes agree");
  const auto inputs = row_major(x.data(), tokens, n);
  gemm(inputs.transposed(), inputs, row_major(h.data(), n, n), Update::kAdd, Region::kLower, pool,
       kernels);
}

void cross_gram(std::span<const float> x, std::span<const float> y, std::int64_t tokens,
                std::int64_t n, std::int64_t m, std::span<float> h, ThreadPool& pool,
                const GemmKernels* kernels) {
  THIMBLE_CHECK(std::ssize(x) == tokens * n && std::ssize(y) == tokens * m, "shapes agree");
  THIMBLE_CHECK(std::ssize(h) == n * m, "shapes agree");
  gemm(row_major(x.data(), tokens, n).transposed(), row_major(y.data(), tokens, m),
       row_major(h.data(), n, m), Update::kAdd, Region::kAll, pool, kernels);
}

void fold(std::span<const float> shard, std::span<double> total, ThreadPool& pool) {
  THIMBLE_CHECK(shard.size() == total.size(), "sizes agree");
  pool.parallel_each(shard.size(), 1 << 16, [&](std::size_t i) { total[i] += shard[i]; });
}

}  // namespace thimble::linalg

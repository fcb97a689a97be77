// What GPTQ's parts cost, on one thread or as many as the second argument says:
//   bench_linalg [n [threads]]

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "linalg/cholesky.h"
#include "linalg/gram.h"
#include "quant/gptq.h"
#include "support/rng.h"

using namespace thimble;

namespace {

// The best of a few runs: others may use the machine.
template <class F>
double seconds(F f) {
  double best = 1e9;
  for (int run = 0; run < 4; ++run) {
    const auto start = std::chrono::steady_clock::now();
    f();
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
    best = std::min(best, time.count());
  }
  return best;
}

// Multiply-adds per second of a tile whose panels stay in the first cache: the most to be had.
double peak(const linalg::GemmKernels& kernels) {
  const auto& tiles = kernels.f32;
  constexpr std::int64_t kDepth = 64;
  std::vector<float> a(tiles.rows * kDepth, 0.5f), b(tiles.columns * kDepth, 0.5f);
  std::vector<float> c(tiles.rows * tiles.columns);
  constexpr int kTimes = 20000;
  const double time = seconds([&] {
    for (int i = 0; i < kTimes; ++i)
      tiles.tile(a.data(), b.data(), kDepth, c.data(), tiles.columns);
  });
  return 1.0 * kTimes * tiles.rows * tiles.columns * kDepth / time;
}

void report(const char* what, double time, double multiply_adds, double most) {
  std::printf("  %-28s %8.3f s  %7.1f G multiply-adds/s  %3.0f%%\n", what, time,
              multiply_adds / time / 1e9, 100 * multiply_adds / time / most);
}

void measure(const linalg::GemmKernels& kernels, std::int64_t n, ThreadPool& pool) {
  const double size = static_cast<double>(n);
  const double most = peak(kernels) * pool.threads();
  std::printf("%s, n %lld, %d threads: %.1f G multiply-adds/s at most (f32)\n",
              std::string(kernels::isa_name(kernels.isa)).c_str(), static_cast<long long>(n),
              pool.threads(), most / 1e9);
  constexpr std::int64_t kTokens = 2048;
  Rng rng(1);
  std::vector<float> x(static_cast<std::size_t>(kTokens * n));
  for (float& v : x) v = static_cast<float>(rng.uniform() - 0.5);
  std::vector<float> shard(static_cast<std::size_t>(n * n));
  const double gram = seconds([&] { linalg::gram(x, kTokens, n, shard, pool, &kernels); });
  report("gram of 2048 tokens", gram, size * size / 2 * kTokens, most);
  std::vector<double> h(shard.begin(), shard.end());
  for (std::int64_t i = 0; i < n; ++i) h[static_cast<std::size_t>(i * n + i)] += 10;
  std::vector<double> work;
  const double copy = seconds([&] { work = h; });
  const double cholesky = seconds([&] {
    work = h;
    (void)linalg::cholesky(work, n, pool, &kernels).has_value();
  });
  report("cholesky (f64)", cholesky - copy, size * size * size / 6, most / 2);
  const double inverse = seconds([&] {
    work = h;
    (void)linalg::inverse_upper(work, n, pool, &kernels).has_value();
  });
  report("inverse_upper (f64)", inverse - copy, size * size * size / 3, most / 2);
  std::vector<float> weights(static_cast<std::size_t>(n * n));
  for (float& w : weights) w = static_cast<float>(0.02 * rng.normal());
  const std::vector<double> hessian(shard.begin(), shard.end());
  ir::Encoding encoding;
  encoding.kind = ir::EncodingKind::kAffine;
  encoding.bits = 4;
  encoding.group_size = 32;
  encoding.constant_zero = 8;
  quant::GptqOptions options;
  options.gemm_kernels = &kernels;
  const double gptq = seconds([&] {
    const auto factors = quant::gptq_factors(hessian, n, options, pool);
    (void)quant::gptq({weights, n, n}, *factors, encoding, quant::Search::kMse, pool).has_value();
  });
  report("gptq of [n, n], 4 bits", gptq, 1.5 * size * size * size, most);
}

}  // namespace

int main(int argc, char** argv) {
  const std::int64_t n = argc > 1 ? std::atoll(argv[1]) : 2048;
  ThreadPool pool(argc > 2 ? std::atoi(argv[2]) : 1);
  for (const linalg::GemmKernels* variant : linalg::gemm_variants()) {
    if (variant->isa == kernels::Isa::kScalar || !kernels::cpu_has(variant->isa)) continue;
    measure(*variant, n, pool);
  }
  return 0;
}

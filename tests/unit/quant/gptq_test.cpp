#include "quant/gptq.h"

#include <cmath>

#include "quant/decode.h"
#include "quant/fit.h"
#include "unit/catch.h"
#include "unit/quant/hessians.h"
#include "unit/quant/weights.h"

using namespace thimble;
using namespace thimble::quant;

namespace {

constexpr std::int64_t kRows = 37, kInputs = 150;

struct Problem {
  std::vector<float> weights = test::heavy_tailed(kRows * kInputs, 3);
  std::vector<float> x = test::correlated_inputs(400, kInputs, 4);
  std::vector<double> hessian = test::hessian_of(x, kInputs);
};

bool same(const ir::Rows& a, const ir::Rows& b) {
  return a.count == b.count && a.codes == b.codes && a.scales == b.scales &&
         a.zero_points == b.zero_points && a.minima == b.minima;
}

// |X (W - decoded)^T|^2, from the inputs themselves.
double output_error(const Problem& p, const ir::Rows& rows, const ir::Encoding& encoding) {
  std::vector<float> decoded(p.weights.size());
  REQUIRE(decode_rows(encoding, rows, kRows, kInputs, decoded.data()));
  double total = 0;
  for (std::size_t t = 0; t < p.x.size() / kInputs; ++t) {
    for (std::size_t r = 0; r < kRows; ++r) {
      double y = 0;
      for (std::size_t i = 0; i < kInputs; ++i) {
        const std::size_t at = r * kInputs + i;
        y += static_cast<double>(p.x[t * kInputs + i]) * (p.weights[at] - decoded[at]);
      }
      total += y * y;
    }
  }
  return total;
}

GptqResult solve(const Problem& p, const ir::Encoding& encoding, const GptqOptions& options,
                 int threads = 1) {
  ThreadPool pool(threads);
  auto result = test::gptq({p.weights, kRows, kInputs}, p.hessian, encoding, options, pool);
  REQUIRE(result);
  return std::move(*result);
}

const ir::ZeroKind kZeros[] = {ir::ZeroKind::kConstant, ir::ZeroKind::kPoints,
                               ir::ZeroKind::kMinima};

}  // namespace

TEST_CASE("GPTQ loses less of the outputs than rounding, and both are what it says") {
  const Problem p;
  for (const auto zero : kZeros) {
    for (const int bits : {2, 3, 4, 8}) {
      for (const std::int64_t group : {0, 32, 64}) {
        for (const bool act_order : {false, true}) {
          GptqOptions options;
          options.act_order = act_order;
          const auto encoding = test::affine(bits, group, zero);
          INFO(encoding.to_string() << " act_order " << act_order);
          const GptqResult result = solve(p, encoding, options);
          CHECK(result.error < 0.8 * result.rounding_error);
          CHECK(result.error == Approx(output_error(p, result.rows, encoding)).epsilon(1e-3));
          SearchOptions search;
          double most = 0;
          for (std::int64_t i = 0; i < kInputs; ++i) {
            most = std::max(most, p.hessian[i * kInputs + i]);
          }
          for (std::int64_t i = 0; i < kInputs; ++i) {
            search.importance.push_back(static_cast<float>(p.hessian[i * kInputs + i] / most));
          }
          ir::Rows rounded;
          REQUIRE(quantize_rows({p.weights, kRows, kInputs}, encoding, search, rounded));
          CHECK(result.rounding_error == Approx(output_error(p, rounded, encoding)).epsilon(2e-3));
        }
      }
    }
  }
}

TEST_CASE("GPTQ gives the same bits on every machine and for every block size") {
  Problem p;
  for (std::int64_t i = 0; i <= 11; ++i) p.hessian[11 * kInputs + i] = 0;
  for (std::int64_t i = 11; i < kInputs; ++i) p.hessian[i * kInputs + 11] = 0;
  std::vector<double> asymmetry(kInputs * kInputs);
  Rng rng(5);
  for (double& d : asymmetry) d = rng.normal();
  for (const auto zero : kZeros) {
    for (const std::int64_t group : {0, 16, 100}) {
      for (const bool fixed : {false, true}) {
        GptqOptions options;
        options.act_order = fixed;
        const auto encoding = test::affine(4, group, zero);
        INFO(encoding.to_string() << " act_order " << fixed);
        const GptqResult first = solve(p, encoding, options);
        for (const int threads : {2, 5}) {
          const GptqResult again = solve(p, encoding, options, threads);
          CHECK(same(again.rows, first.rows));
          CHECK(again.error == first.error);
        }
        for (const int block : {1, 20, 64, 1000}) {
          GptqOptions other = options;
          other.block_size = block;
          CHECK(same(solve(p, encoding, other).rows, first.rows));
        }
        for (const bool asymmetric : {false, true}) {
          if (asymmetric) options.asymmetry = asymmetry;
          const GptqResult best = solve(p, encoding, options);
          for (const FitKernels* variant : fit_variants()) {
            for (const linalg::GemmKernels* tiles : linalg::gemm_variants()) {
              if (!kernels::cpu_has(variant->isa) || !kernels::cpu_has(tiles->isa)) continue;
              GptqOptions other = options;
              other.kernels = variant;
              other.gemm_kernels = tiles;
              const GptqResult again = solve(p, encoding, other);
              CHECK(same(again.rows, best.rows));
              CHECK(again.error == best.error);
            }
          }
        }
      }
    }
  }
}

TEST_CASE("a row's codes don't depend on the rows beside it") {
  const Problem p;
  const auto encoding = test::affine(3, 32, ir::ZeroKind::kPoints);
  const GptqResult all = solve(p, encoding, {});
  ThreadPool pool(1);
  const auto one = test::gptq({std::span(p.weights).subspan(20 * kInputs, kInputs), 1, kInputs},
                              p.hessian, encoding, {}, pool);
  REQUIRE(one);
  CHECK(std::equal(one->rows.codes.begin(), one->rows.codes.end(),
                   all.rows.codes.begin() + 20 * kInputs));
}

TEST_CASE("inputs that were always 0 are reported and keep the codes of rounding") {
  Problem p;
  for (std::size_t t = 0; t < p.x.size() / kInputs; ++t) p.x[t * kInputs + 7] = 0;
  p.hessian = test::hessian_of(p.x, kInputs);
  const auto encoding = test::affine(4, 0, ir::ZeroKind::kConstant);
  const GptqResult result = solve(p, encoding, {});
  CHECK(result.dead == std::vector<std::int64_t>{7});
  for (std::int64_t r = 0; r < kRows; ++r) {
    const float w = p.weights[r * kInputs + 7] / result.rows.scales[r];
    const int code = std::clamp(static_cast<int>(std::nearbyint(w)), -8, 7) + 8;
    CHECK(result.rows.codes[r * kInputs + 7] == code);
  }
  std::fill(p.hessian.begin(), p.hessian.end(), 0);
  const GptqResult none = solve(p, encoding, {});
  CHECK(none.dead.size() == kInputs);
  ir::Rows rounded;
  REQUIRE(quantize_rows({p.weights, kRows, kInputs}, encoding, {}, rounded));
  CHECK(same(none.rows, rounded));
}

TEST_CASE("GPTAQ's term follows the float model's outputs") {
  // The layer's inputs carry an error that the weights can make up for.
  Problem p;
  Rng rng(6);
  const std::vector<float> exact = p.x;
  for (std::size_t t = 0; t < p.x.size() / kInputs; ++t) {
    for (std::size_t i = 0; i < kInputs; ++i) {
      p.x[t * kInputs + i] =
          0.9f * exact[t * kInputs + i] + 0.05f * static_cast<float>(rng.normal());
    }
  }
  p.hessian = test::hessian_of(p.x, kInputs);
  std::vector<double> asymmetry(kInputs * kInputs);
  for (std::size_t t = 0; t < p.x.size() / kInputs; ++t) {
    for (std::size_t i = 0; i < kInputs; ++i) {
      for (std::size_t j = 0; j < kInputs; ++j) {
        const double dx = static_cast<double>(exact[t * kInputs + i]) - p.x[t * kInputs + i];
        asymmetry[i * kInputs + j] += dx * p.x[t * kInputs + j];
      }
    }
  }
  const auto outputs_error = [&](const ir::Rows& rows, const ir::Encoding& encoding) {
    std::vector<float> q(p.weights.size());
    REQUIRE(decode_rows(encoding, rows, kRows, kInputs, q.data()));
    double total = 0;
    for (std::size_t t = 0; t < p.x.size() / kInputs; ++t) {
      for (std::size_t r = 0; r < kRows; ++r) {
        double y = 0;
        for (std::size_t i = 0; i < kInputs; ++i) {
          y += static_cast<double>(exact[t * kInputs + i]) * p.weights[r * kInputs + i] -
               static_cast<double>(p.x[t * kInputs + i]) * q[r * kInputs + i];
        }
        total += y * y;
      }
    }
    return total;
  };
  const auto encoding = test::affine(4, 32, ir::ZeroKind::kPoints);
  GptqOptions options;
  const GptqResult plain = solve(p, encoding, options);
  options.asymmetry = asymmetry;
  const GptqResult asymmetric = solve(p, encoding, options);
  const double before = outputs_error(plain.rows, encoding);
  const double after = outputs_error(asymmetric.rows, encoding);
  CHECK(after < 0.7 * before);
  // The errors that are reported leave out the same constant.
  ThreadPool pool(1);
  GptqOptions none = options;
  const GptqResult with_points = solve(p, test::affine(8, 32, ir::ZeroKind::kPoints), none);
  CHECK(outputs_error(with_points.rows, test::affine(8, 32, ir::ZeroKind::kPoints)) - after ==
        Approx(with_points.error + with_points.cross_error - asymmetric.error -
               asymmetric.cross_error)
            .epsilon(1e-2));
}

TEST_CASE("GPTQ refuses what it cannot solve") {
  Problem p;
  ThreadPool pool(1);
  const auto encoding = test::affine(4, 32, ir::ZeroKind::kPoints);
  const auto refused = [&](const std::string& part) {
    const auto result = test::gptq({p.weights, kRows, kInputs}, p.hessian, encoding, {}, pool);
    REQUIRE_FALSE(result);
    INFO(result.error().to_string());
    CHECK(result.error().to_string().find(part) != std::string::npos);
  };
  const Problem good;
  p.hessian[5 * kInputs + 5] = -1;
  refused("at 5, 5");
  p.hessian = good.hessian;
  p.hessian[9 * kInputs + 2] = std::nan("");
  refused("at 9, 2");
  p.hessian = good.hessian;
  p.hessian[9 * kInputs + 2] = 1e9;
  refused("not positive definite");
  p.hessian = good.hessian;
  p.weights[20 * kInputs] = INFINITY;
  refused("row 20 ");
}

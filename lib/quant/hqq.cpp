#include "quant/hqq.h"

#include <algorithm>
#include <cmath>

#include "quant/fit.h"
#include "quant/parallel.h"
#include "support/math.h"

namespace thimble::quant {
namespace {

// Of an iteration: less is rounding, as where as many errors are above 0 as below.
constexpr double kProgress = 1 - 1e-9;

class GroupSolver {
 public:
  GroupSolver(const ir::Encoding& encoding, const HqqOptions& options)
      : options_(options),
        top_((1 << encoding.bits) - 1),
        round_(fit_input(encoding).round_minima) {}

  // In: the minimum of the extremes. Out: the best one, and codes.
  void solve(std::span<const float> w, float scale, float& minimum, std::uint8_t* codes) {
    if (scale != 0)
      minimum = round_one(round_, static_cast<float>(best_minimum(w, scale, minimum)));
    for (std::size_t i = 0; i < w.size(); ++i) {
      const double code = scale == 0 ? 0 : code_of((static_cast<double>(w[i]) - minimum) / scale);
      codes[i] = static_cast<std::uint8_t>(code);
    }
  }

 private:
  double code_of(double x) const { return std::clamp(nearest_whole(x), 0.0, top_); }

  double shrink(double x, double beta) const {
    const double size = std::fabs(x);
    if (size == 0) return 0;
    const double left = size - math::pow(size, options_.norm - 1) / beta;
    return left <= 0 ? 0 : std::copysign(left, x);
  }

  double best_minimum(std::span<const float> w, float scale, float first) const {
    double zero = -static_cast<double>(first) / scale, best = zero, least = INFINITY;
    double beta = options_.beta;
    for (int iteration = 0; iteration < options_.iterations; ++iteration) {
      double sum = 0, next = 0;
      for (const float weight : w) {
        const double x = static_cast<double>(weight) / scale;
        const double code = code_of(x + zero);
        const double error = x - (code - zero);
        sum += std::fabs(error);
        next += code - (x - shrink(error, beta));
      }
      if (!(sum < least * kProgress)) break;
      least = sum;
      best = zero;
      zero = next / static_cast<double>(w.size());
      beta *= options_.growth;
    }
    return -best * scale;
  }

  const HqqOptions& options_;
  double top_;
  void (*round_)(float*);
};

}  // namespace

Status hqq(const WeightMatrix& weights, const ir::Encoding& encoding, const HqqOptions& options,
           ir::Rows& out, ThreadPool& pool) {
  THIMBLE_CHECK(encoding.kind == ir::EncodingKind::kAffine && !encoding.per_tensor &&
                    encoding.zero == ir::ZeroKind::kMinima,
                "hqq finds minima per row or group, not for " + encoding.to_string());
  THIMBLE_CHECK(options.norm > 0 && options.norm < 1 && options.beta > 0 && options.growth >= 1 &&
                    options.iterations >= 1,
                "options lie in their ranges");
  THIMBLE_TRY(quantize_rows_parallel(weights, encoding, {Search::kAbsmax, {}}, out, pool));
  const std::int64_t inputs = weights.inputs;
  const std::int64_t groups = encoding.groups(inputs);
  const std::int64_t size = encoding.group_width(inputs);
  pool.parallel_for(static_cast<std::size_t>(weights.rows), 1,
                    [&](std::size_t begin, std::size_t end) {
                      GroupSolver solver(encoding, options);
                      for (auto row = static_cast<std::int64_t>(begin);
                           row < static_cast<std::int64_t>(end); ++row) {
                        for (std::int64_t g = 0; g < groups; ++g) {
                          const std::int64_t first = row * inputs + g * size;
                          const std::int64_t count = std::min(size, inputs - g * size);
                          const auto at = static_cast<std::size_t>(row * groups + g);
                          solver.solve(weights.values.subspan(static_cast<std::size_t>(first),
                                                              static_cast<std::size_t>(count)),
                                       out.scales[at], out.minima[at], out.codes.data() + first);
                        }
                      }
                    });
  return ok();
}

}  // namespace thimble::quant

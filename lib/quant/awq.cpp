#include "quant/awq.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "quant/clip.h"
#include "quant/hessian.h"
#include "quant/parallel.h"
#include "support/math.h"

namespace thimble::quant {
namespace {

constexpr double kLeast = 1e-4;  // of a scale, before they are centred

std::vector<float> scales_of(std::span<const float> magnitudes, double alpha) {
  std::vector<double> raw;
  for (const float m : magnitudes) {
    raw.push_back(alpha == 0 ? 1 : std::max(kLeast, math::pow(static_cast<double>(m), alpha)));
  }
  const auto [least, most] = std::ranges::minmax(raw);
  const double centre = std::sqrt(least * most);
  std::vector<float> scales;
  for (const double s : raw) scales.push_back(static_cast<float>(s / centre));
  return scales;
}

class Awq {
 public:
  Awq(const AwqLayer& layer, std::span<const double> diagonal, const Hessian* hessian,
      Search search, ThreadPool& pool)
      : weights_(layer.weights),
        diagonal_(diagonal),
        hessian_(hessian),
        encoding_(layer.encoding),
        search_(search),
        pool_(pool) {}

  Expected<ClipResult> find_limits(std::span<const float> scales) const {
    const std::vector<float> scaled = scaled_by(scales);
    return clip(like_weights(scaled), scales, *hessian_, encoding_, {search_, importance(scales)},
                pool_);
  }

  Expected<double> error(std::span<const float> scales) const {
    const std::vector<float> scaled = scaled_by(scales);
    ir::Rows codes;
    THIMBLE_TRY(quantize_rows_parallel(like_weights(scaled), encoding_,
                                       {search_, importance(scales)}, codes, pool_));
    THIMBLE_ASSIGN(std::vector<float> errors,
                   rounding_errors(like_weights(scaled), codes, encoding_, pool_));
    each_row([&](std::int64_t at, std::int64_t i) {
      errors[at] /= scales[static_cast<std::size_t>(i)];
    });
    if (hessian_ != nullptr) return hessian_->error(errors, weights_.rows, pool_);
    double total = 0;
    for (std::size_t at = 0; at < errors.size(); ++at) {
      const double e = errors[at];
      total += e * e * diagonal_[at % static_cast<std::size_t>(weights_.inputs)];
    }
    return total;
  }

 private:
  template <class F>
  void each_row(F f) const {
    pool_.parallel_each(static_cast<std::size_t>(weights_.rows), 16, [&](std::size_t row) {
      for (std::int64_t i = 0; i < weights_.inputs; ++i) {
        f(static_cast<std::int64_t>(row) * weights_.inputs + i, i);
      }
    });
  }

  WeightMatrix like_weights(std::span<const float> values) const {
    return {values, weights_.rows, weights_.inputs};
  }

  std::vector<float> scaled_by(std::span<const float> scales) const {
    std::vector<float> scaled(weights_.values.size());
    each_row([&](std::int64_t at, std::int64_t i) {
      scaled[at] = weights_.values[at] * scales[static_cast<std::size_t>(i)];
    });
    return scaled;
  }

  // An error in w s costs s^2 times less than one in w.
  std::vector<float> importance(std::span<const float> scales) const {
    const double most = std::ranges::max(diagonal_);
    std::vector<float> out;
    if (most == 0) return out;
    for (std::size_t i = 0; i < diagonal_.size(); ++i) {
      const double s = scales[i];
      out.push_back(static_cast<float>(diagonal_[i] / most / (s * s)));
    }
    return out;
  }

  WeightMatrix weights_;
  std::span<const double> diagonal_;
  const Hessian* hessian_;
  const ir::Encoding& encoding_;
  Search search_;
  ThreadPool& pool_;
};

}  // namespace

Expected<AwqResult> awq(std::span<const AwqLayer> layers, std::int64_t inputs,
                        std::span<const float> magnitudes, std::span<const double> hessian,
                        const AwqOptions& options, ThreadPool& pool) {
  THIMBLE_CHECK(std::ssize(magnitudes) == inputs, "magnitudes are [inputs]");
  THIMBLE_CHECK(!layers.empty() && inputs >= 1 && options.grid >= 1,
                "there is something to search");
  for (const float m : magnitudes) {
    if (!(m >= 0) || std::isinf(m)) {
      return unsupported("the inputs' mean magnitude is not finite")
          .fix("look for overflow in the activations that it was gathered from");
    }
  }
  std::optional<Hessian> full;
  std::vector<double> diagonal(hessian.begin(), hessian.end());
  if (std::ssize(hessian) != inputs) {
    THIMBLE_ASSIGN(full, Hessian::make(hessian, inputs));
    diagonal = full->diagonal();
  }
  std::vector<Awq> searches;
  for (const AwqLayer& layer : layers) {
    THIMBLE_CHECK(layer.weights.is_whole() && layer.weights.inputs == inputs,
                  "weights are [rows, inputs]");
    THIMBLE_CHECK(layer.encoding.kind == ir::EncodingKind::kAffine && !layer.encoding.per_tensor,
                  "awq scales affine weights per row or group, not " + layer.encoding.to_string());
    searches.emplace_back(layer, diagonal, full ? &*full : nullptr, options.search, pool);
  }
  AwqResult best;
  for (int step = 0; step < options.grid; ++step) {
    const double alpha = static_cast<double>(step) / options.grid;
    std::vector<float> scales = scales_of(magnitudes, alpha);
    double error = 0;
    for (const Awq& search : searches) {
      THIMBLE_ASSIGN(const double part, search.error(scales));
      error += part;
    }
    if (step == 0) best.rounding_error = error;
    if (step > 0 && !(error < best.error)) continue;
    best.scales = std::move(scales);
    best.alpha = alpha;
    best.error = error;
  }
  if (!options.clip) return best;
  THIMBLE_CHECK(full.has_value(), "cutting weights takes the whole Hessian");
  best.error = 0;
  for (const Awq& search : searches) {
    THIMBLE_ASSIGN(ClipResult cut, search.find_limits(best.scales));
    best.limits.push_back(std::move(cut.limits));
    best.error += cut.error;
  }
  return best;
}

}  // namespace thimble::quant

#include "quant/clip.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "linalg/gemm.h"
#include "quant/parallel.h"

namespace thimble::quant {
namespace {

constexpr int kSteps = 14;
constexpr double kStep = 0.05;  // of the largest weight
constexpr float kUncut = std::numeric_limits<float>::infinity();

class ClipSearch {
 public:
  ClipSearch(const WeightMatrix& weights, std::span<const float> scales, const Hessian& hessian,
             const ir::Encoding& encoding, const SearchOptions& search, ThreadPool& pool)
      : weights_(weights),
        rows_(weights.rows),
        inputs_(weights.inputs),
        width_(encoding.group_width(inputs_)),
        groups_(encoding.groups(inputs_)),
        scales_(scales),
        hessian_(hessian),
        encoding_(encoding),
        search_(search),
        pool_(pool) {}

  std::size_t limits() const { return static_cast<std::size_t>(rows_ * groups_); }

  std::vector<float> largest() const {
    std::vector<float> out(limits());
    each_row([&](std::int64_t row) {
      for (std::int64_t i = 0; i < inputs_; ++i) {
        float& most = out[static_cast<std::size_t>(row * groups_ + i / width_)];
        most =
            std::max(most, std::abs(weights_.values[static_cast<std::size_t>(row * inputs_ + i)]));
      }
    });
    return out;
  }

  // What the outputs' weights before the scales would have to err by for the same outputs:
  // [rows, inputs].
  Expected<std::vector<float>> errors(std::span<const float> limits) const {
    std::vector<float> cut(weights_.values.begin(), weights_.values.end());
    each_row([&](std::int64_t row) {
      cut_rows(std::span(cut).subspan(static_cast<std::size_t>(row * inputs_),
                                      static_cast<std::size_t>(inputs_)),
               limits.subspan(static_cast<std::size_t>(row * groups_),
                              static_cast<std::size_t>(groups_)),
               inputs_, encoding_);
    });
    ir::Rows codes;
    THIMBLE_TRY(quantize_rows_parallel({cut, rows_, inputs_}, encoding_, search_, codes, pool_));
    THIMBLE_ASSIGN(std::vector<float> out, rounding_errors(weights_, codes, encoding_, pool_));
    each_row([&](std::int64_t row) {
      for (std::int64_t i = 0; i < inputs_; ++i)
        out[static_cast<std::size_t>(row * inputs_ + i)] /= scales_[static_cast<std::size_t>(i)];
    });
    return out;
  }

  // By row and group, e_g H_gg e_g^T in units of the Hessian's mean.
  std::vector<double> group_errors(std::span<const float> errors) const {
    std::vector<double> out(limits());
    const auto all = linalg::row_major(errors.data(), rows_, inputs_);
    for (std::int64_t g = 0; g < groups_; ++g) {
      const std::int64_t at = g * width_, width = std::min(width_, inputs_ - at);
      std::vector<float> block(static_cast<std::size_t>(width * width));
      for (std::int64_t i = 0; i < width; ++i) {
        for (std::int64_t j = 0; j < width; ++j)
          block[static_cast<std::size_t>(i * width + j)] =
              static_cast<float>(hessian_.at(at + i, at + j) * hessian_.unit());
      }
      const auto part = all.block(0, at, rows_, width);
      std::vector<float> product(static_cast<std::size_t>(rows_ * width));
      linalg::gemm(part, linalg::row_major<const float>(block.data(), width, width),
                   linalg::row_major(product.data(), rows_, width), linalg::Update::kAdd,
                   linalg::Region::kAll, pool_);
      each_row([&](std::int64_t row) {
        double sum = 0;
        for (std::int64_t i = 0; i < width; ++i)
          sum += static_cast<double>(product[static_cast<std::size_t>(row * width + i)]) *
                 part.at(row, i);
        out[static_cast<std::size_t>(row * groups_ + g)] = sum;
      });
    }
    return out;
  }

  double total(std::span<const float> errors) const { return hessian_.error(errors, rows_, pool_); }

 private:
  template <class F>
  void each_row(F f) const {
    pool_.parallel_each(static_cast<std::size_t>(rows_), 16,
                        [&](std::size_t row) { f(static_cast<std::int64_t>(row)); });
  }

  WeightMatrix weights_;
  std::int64_t rows_, inputs_, width_, groups_;
  std::span<const float> scales_;
  const Hessian& hessian_;
  const ir::Encoding& encoding_;
  const SearchOptions& search_;
  ThreadPool& pool_;
};

}  // namespace

void cut_rows(std::span<float> weights, std::span<const float> limits, std::int64_t inputs,
              const ir::Encoding& encoding) {
  const auto width = static_cast<std::size_t>(encoding.group_width(inputs));
  const auto groups = static_cast<std::size_t>(encoding.groups(inputs));
  const auto columns = static_cast<std::size_t>(inputs);
  for (std::size_t at = 0; at < weights.size(); ++at) {
    const float limit = limits[at / columns * groups + at % columns / width];
    weights[at] = std::clamp(weights[at], -limit, limit);
  }
}

Expected<ClipResult> clip(const WeightMatrix& weights, std::span<const float> scales,
                          const Hessian& hessian, const ir::Encoding& encoding,
                          const SearchOptions& search, ThreadPool& pool) {
  const ClipSearch tried(weights, scales, hessian, encoding, search, pool);
  const std::vector<float> largest = tried.largest();
  ClipResult best{std::vector<float>(tried.limits(), kUncut), 0, 0};
  THIMBLE_ASSIGN(const std::vector<float> plain, tried.errors(best.limits));
  std::vector<double> least = tried.group_errors(plain);
  best.rounding_error = best.error = tried.total(plain);
  std::vector<float> limits = best.limits;
  for (int step = 1; step <= kSteps; ++step) {
    std::vector<float> candidate;
    for (const float most : largest)
      candidate.push_back(static_cast<float>(most * (1 - kStep * step)));
    THIMBLE_ASSIGN(const std::vector<float> errors, tried.errors(candidate));
    const std::vector<double> losses = tried.group_errors(errors);
    for (std::size_t g = 0; g < losses.size(); ++g) {
      if (!(losses[g] < least[g])) continue;
      least[g] = losses[g];
      limits[g] = candidate[g];
    }
  }
  THIMBLE_ASSIGN(const std::vector<float> errors, tried.errors(limits));
  // Groups are looked at one by one; together they could lose more.
  const double error = tried.total(errors);
  if (error < best.error) {
    best.error = error;
    best.limits = std::move(limits);
  }
  return best;
}

}  // namespace thimble::quant

#include "quant/scale_fit.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "linalg/cholesky.h"
#include "linalg/gemm.h"
#include "quant/fit.h"
#include "quant/hessian.h"

namespace thimble::quant {
namespace {

constexpr std::int64_t kRowsAtOnce = 64;
constexpr double kRidge = 1e-6;

class Fitter {
 public:
  Fitter(const WeightMatrix& weights, const ir::Rows& streams, const ir::Encoding& encoding,
         const Hessian& hessian, ThreadPool& pool)
      : weights_(weights.values),
        inputs_(weights.inputs),
        streams_(streams),
        encoding_(encoding),
        pool_(pool),
        groups_(encoding.groups(inputs_)),
        size_(encoding.group_width(inputs_)),
        round_(fit_input(encoding).round_scales) {
    for (std::int64_t i = 0; i < inputs_; ++i) {
      for (std::int64_t j = 0; j < inputs_; ++j) h_.push_back(hessian.at(i, j));
    }
  }

  // Rows [begin, begin + count).
  void fit(std::int64_t begin, std::int64_t count, ScaleFit& out) {
    read(begin, count);
    std::vector<double> normal(static_cast<std::size_t>(count * groups_ * groups_));
    std::vector<double> right(static_cast<std::size_t>(count * groups_));
    std::vector<double> constant(static_cast<std::size_t>(count));
    multiply(target_, count, 0, inputs_);  // (w - m) H
    for (std::int64_t r = 0; r < count; ++r) {
      for (std::int64_t g = 0; g < groups_; ++g)
        right[at(r, g, groups_)] = dot(units_, r, g * size_, end_of(g));
      constant[static_cast<std::size_t>(r)] = dot(target_, r, 0, inputs_);
    }
    for (std::int64_t h = 0; h < groups_; ++h) {
      multiply(units_, count, h * size_, end_of(h));  // u_h H_h
      for (std::int64_t r = 0; r < count; ++r) {
        for (std::int64_t g = 0; g < groups_; ++g)
          normal[static_cast<std::size_t>((r * groups_ + g) * groups_ + h)] =
              dot(units_, r, g * size_, end_of(g));
      }
    }
    const auto n = static_cast<std::size_t>(groups_);
    for (std::int64_t r = 0; r < count; ++r) {
      const auto row = static_cast<std::size_t>(r);
      solve(std::span(normal).subspan(row * n * n, n * n), std::span(right).subspan(row * n, n),
            constant[row], std::span(out.rows.scales).subspan(at(begin + r, 0, groups_), n), out);
    }
  }

 private:
  static std::size_t at(std::int64_t row, std::int64_t column, std::int64_t width) {
    return static_cast<std::size_t>(row * width + column);
  }
  std::int64_t end_of(std::int64_t group) const { return std::min(inputs_, (group + 1) * size_); }

  // Codes less their zero, and weights less their minima.
  void read(std::int64_t begin, std::int64_t count) {
    units_.resize(static_cast<std::size_t>(count * inputs_));
    target_.resize(units_.size());
    for (std::int64_t r = 0; r < count; ++r) {
      for (std::int64_t i = 0; i < inputs_; ++i) {
        const std::size_t from = at(begin + r, i, inputs_);
        const std::size_t group = at(begin + r, std::min(i / size_, groups_ - 1), groups_);
        double zero = encoding_.constant_zero, minimum = 0;
        if (encoding_.zero == ir::ZeroKind::kPoints) zero = streams_.zero_points[group];
        if (encoding_.zero == ir::ZeroKind::kMinima) zero = 0, minimum = streams_.minima[group];
        units_[at(r, i, inputs_)] = streams_.codes[from] - zero;
        target_[at(r, i, inputs_)] = weights_[from] - minimum;
      }
    }
  }

  // product_ = columns [first, last) of `left` times those rows of H.
  void multiply(const std::vector<double>& left, std::int64_t count, std::int64_t first,
                std::int64_t last) {
    product_.assign(left.size(), 0.0);
    linalg::Matrix<const double> a{left.data() + first, count, last - first, inputs_, 1};
    linalg::Matrix<const double> b{h_.data() + first * inputs_, last - first, inputs_, inputs_, 1};
    linalg::gemm(a, b, linalg::row_major(product_.data(), count, inputs_), linalg::Update::kAdd,
                 linalg::Region::kAll, pool_);
  }
  double dot(const std::vector<double>& left, std::int64_t row, std::int64_t first,
             std::int64_t last) const {
    double sum = 0;
    for (std::int64_t i = first; i < last; ++i)
      sum += left[at(row, i, inputs_)] * product_[at(row, i, inputs_)];
    return sum;
  }

  static double error_of(std::span<const double> normal, std::span<const double> right,
                         double constant, std::span<const float> scales) {
    const std::size_t n = scales.size();
    double sum = constant;
    for (std::size_t g = 0; g < n; ++g) {
      double row = -2 * right[g];
      for (std::size_t h = 0; h < n; ++h) row += normal[g * n + h] * scales[h];
      sum += row * scales[g];
    }
    return sum;
  }

  // s + (N + ridge)^-1 (v - N s), rounded.
  void solve(std::span<const double> normal, std::span<const double> right, double constant,
             std::span<float> scales, ScaleFit& out) {
    const std::size_t n = scales.size();
    const double before = error_of(normal, right, constant, scales);
    double after = before, mean = 0;
    for (std::size_t g = 0; g < n; ++g) mean += normal[g * n + g] / static_cast<double>(n);
    std::vector<double> l(normal.begin(), normal.end()), x(right.begin(), right.end());
    for (std::size_t g = 0; g < n; ++g) {
      l[g * n + g] += kRidge * mean;
      for (std::size_t h = 0; h < n; ++h) x[g] -= normal[g * n + h] * scales[h];
    }
    if (mean > 0 && linalg::cholesky(l, static_cast<std::int64_t>(n), pool_)) {
      substitute(l, x);
      std::vector<float> fitted(n);
      for (std::size_t g = 0; g < n; ++g) fitted[g] = rounded(scales[g], scales[g] + x[g]);
      after = error_of(normal, right, constant, fitted);
      if (after < before) {
        std::copy(fitted.begin(), fitted.end(), scales.begin());
      } else {
        after = before;
      }
    }
    out.error_before += before;
    out.error += after;
  }

  static void substitute(const std::vector<double>& l, std::vector<double>& x) {
    const std::size_t n = x.size();
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t j = 0; j < i; ++j) x[i] -= l[i * n + j] * x[j];
      x[i] /= l[i * n + i];
    }
    for (std::size_t i = n; i-- > 0;) {
      for (std::size_t j = i + 1; j < n; ++j) x[i] -= l[j * n + i] * x[j];
      x[i] /= l[i * n + i];
    }
  }

  float rounded(float old, double value) const {
    if (old == 0) return 0;  // a group of zeros
    const float unit = std::ldexp(1.0f, encoding_.scale_exponent);
    return round_one(round_, static_cast<float>(value) / unit) * unit;
  }

  std::span<const float> weights_;
  std::int64_t inputs_;
  const ir::Rows& streams_;
  const ir::Encoding& encoding_;
  ThreadPool& pool_;
  std::int64_t groups_, size_;
  void (*round_)(float*);
  std::vector<double> h_, units_, target_, product_;
};

}  // namespace

Expected<ScaleFit> fit_scales(const WeightMatrix& weights, const ir::Rows& streams,
                              const ir::Encoding& encoding, std::span<const double> hessian,
                              ThreadPool& pool) {
  THIMBLE_CHECK(weights.is_whole() && streams.count == weights.rows,
                "weights and streams are of the same rows");
  THIMBLE_CHECK(encoding.kind == ir::EncodingKind::kAffine && !encoding.per_tensor,
                "scales of rows or groups are fitted, not of " + encoding.to_string());
  THIMBLE_ASSIGN(const Hessian view, Hessian::make(hessian, weights.inputs));
  ScaleFit out;
  out.rows = streams;
  Fitter fitter(weights, streams, encoding, view, pool);
  for (std::int64_t row = 0; row < weights.rows; row += kRowsAtOnce)
    fitter.fit(row, std::min(kRowsAtOnce, weights.rows - row), out);
  return out;
}

}  // namespace thimble::quant

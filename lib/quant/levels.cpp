#include "quant/levels.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "quant/decode.h"
#include "support/checked.h"

namespace thimble::quant {
namespace {

constexpr std::int64_t kSample = 65536;  // numbers that a table is fitted to
constexpr std::int64_t kRun = 16;        // rows that are read together
constexpr int kTurns = 4;                // searches for scales
constexpr int kLloydSteps = 30;          // at most, after each
constexpr double kReach = 127;

// Codes around 0 as levels: those of a plain grid.
std::vector<float> uniform_levels(int bits) {
  std::vector<float> levels;
  for (int code = 0; code < 1 << bits; ++code)
    levels.push_back(static_cast<float>((code - (1 << (bits - 1))) * (256 >> bits)));
  return levels;
}

// A weight in units of its group's scale, and what an error of one unit costs.
struct Point {
  double at = 0, cost = 0;
  bool operator<(const Point& other) const {
    return std::pair(at, cost) < std::pair(other.at, other.cost);
  }
};

class LevelFit {
 public:
  LevelFit(const WeightMatrix& weights, const ir::Encoding& encoding, const SearchOptions& options)
      : weights_(weights), encoding_(encoding), options_(options) {}

  // Lloyd's steps from `levels`, and a search for scales before each run of them.
  Status improve(std::vector<float> levels) {
    for (int turn = 0;; ++turn) {
      encoding_.table = levels;
      ir::Rows coded;
      THIMBLE_TRY(quantize_rows(weights_, encoding_, options_, coded));
      THIMBLE_ASSIGN(const double error, error_of(coded));
      const bool better = best_.empty() || error < best_error_;
      if (better) best_ = levels, best_error_ = error;
      if (turn == kTurns) return ok();
      collect(coded);
      std::vector<float> moved = in_steps(lloyd(levels));
      if (moved == levels) return ok();
      levels = std::move(moved);
    }
  }

  std::vector<float> best() && { return std::move(best_); }

 private:
  double importance(std::int64_t input) const {
    return options_.importance.empty() ? 1.0 : options_.importance[static_cast<std::size_t>(input)];
  }

  Expected<double> error_of(const ir::Rows& coded) const {
    std::vector<float> decoded(weights_.values.size());
    THIMBLE_TRY(decode_rows(encoding_, coded, weights_.rows, weights_.inputs, decoded.data()));
    double error = 0;
    for (std::size_t i = 0; i < decoded.size(); ++i) {
      const double e = static_cast<double>(weights_.values[i]) - static_cast<double>(decoded[i]);
      error += importance(static_cast<std::int64_t>(i) % weights_.inputs) * e * e;
    }
    return error;
  }

  double scale_of(const ir::Rows& coded, std::int64_t row, std::int64_t group) const {
    const std::int64_t groups = encoding_.groups(weights_.inputs);
    const auto at = static_cast<std::size_t>(row * groups + group);
    if (encoding_.kind != ir::EncodingKind::kSuperBlock) return coded.scales[at];
    const std::int64_t super = group * encoding_.group_size / encoding_.super_size;
    return coded.scales[static_cast<std::size_t>(row * encoding_.supers(weights_.inputs) + super)] *
           static_cast<double>(coded.sub_scales[at] - encoding_.sub_scale_zero);
  }

  // Every weight under the scales found; groups of zeros say nothing.
  void collect(const ir::Rows& coded) {
    points_.clear();
    const std::int64_t inputs = weights_.inputs, size = encoding_.group_width(inputs);
    for (std::int64_t row = 0; row < weights_.rows; ++row) {
      for (std::int64_t begin = 0; begin < inputs; begin += size) {
        const double scale = scale_of(coded, row, begin / size);
        if (scale == 0) continue;
        for (std::int64_t k = begin; k < std::min(inputs, begin + size); ++k) {
          const double w = weights_.values[static_cast<std::size_t>(row * inputs + k)];
          points_.push_back({w / scale, importance(k) * scale * scale});
        }
      }
    }
    std::sort(points_.begin(), points_.end());
    costs_.assign(1, 0.0);
    moments_.assign(1, 0.0);
    for (const Point& point : points_) {
      costs_.push_back(costs_.back() + point.cost);
      moments_.push_back(moments_.back() + point.cost * point.at);
    }
  }

  // The points are sorted: those of a level lie between the middles to its neighbours.
  std::vector<double> lloyd(const std::vector<float>& levels) const {
    std::vector<double> at(levels.begin(), levels.end());
    for (int step = 0; step < kLloydSteps; ++step) {
      const std::vector<double> before = at;
      std::size_t begin = 0;
      for (std::size_t i = 0; i < at.size(); ++i) {
        std::size_t end = points_.size();
        if (i + 1 < at.size()) {
          const Point middle{(before[i] + before[i + 1]) / 2, HUGE_VAL};
          end = static_cast<std::size_t>(std::upper_bound(points_.begin(), points_.end(), middle) -
                                         points_.begin());
        }
        const double cost = costs_[end] - costs_[begin];
        if (end > begin && cost > 0) at[i] = (moments_[end] - moments_[begin]) / cost;
        begin = end;
      }
      if (at == before) break;
    }
    return at;
  }

  // The level that reaches furthest becomes 127 or -127, and each a whole number.
  static std::vector<float> in_steps(const std::vector<double>& levels) {
    double reach = 0;
    for (const double level : levels) reach = std::max(reach, std::fabs(level));
    std::vector<float> out;
    for (const double level : levels) {
      const double step = reach == 0 ? 0 : level * (kReach / reach);
      out.push_back(static_cast<float>((step + 0x1.8p52) - 0x1.8p52));
    }
    return out;
  }

  WeightMatrix weights_;
  ir::Encoding encoding_;
  const SearchOptions& options_;
  std::vector<Point> points_;            // ascending
  std::vector<double> costs_, moments_;  // sums over the points before
  std::vector<float> best_;
  double best_error_ = 0;
};

// Runs of rows, evenly spread, that hold about kSample numbers.
Expected<std::vector<float>> sample(const ir::Weight& from, const ir::Encoding& encoding,
                                    std::int64_t rows, std::int64_t inputs) {
  const std::int64_t runs = ceil_div(rows, kRun);
  const std::int64_t wanted = std::max<std::int64_t>(1, kSample / (kRun * inputs));
  const std::int64_t taken = std::min(runs, wanted);
  std::vector<float> weights;
  for (std::int64_t i = 0; i < taken; ++i) {
    const std::int64_t begin = i * runs / taken * kRun;
    THIMBLE_ASSIGN(const std::vector<float> run,
                   matrix_rows(from, encoding, begin, std::min(rows, begin + kRun)));
    weights.insert(weights.end(), run.begin(), run.end());
  }
  return weights;
}

// The largest magnitude among a weight's numbers.
Expected<float> extreme_of(const ir::Weight& weight) {
  const std::int64_t rows = weight.rows();
  const std::int64_t step =
      std::max<std::int64_t>(1, (1 << 18) / std::max<std::int64_t>(1, weight.inputs()));
  float extreme = 0;
  for (std::int64_t begin = 0; begin < rows; begin += step) {
    const std::int64_t end = std::min(rows, begin + step);
    THIMBLE_ASSIGN(const std::vector<float> values, decode_rows(weight, begin, end));
    for (const float value : values) extreme = std::max(extreme, std::fabs(value));
    weight.source->release(begin, end);
  }
  return extreme;
}

}  // namespace

// Of least squared error for groups of 16 to 32 weights between normally distributed and of
// Student's t with 6 degrees, each under its best scale of either sign (Lloyd 1982; the shape is
// that of llama.cpp's IQ2_K, IQ3_K and IQ4_NL).
std::vector<float> normal_levels(int bits) {
  if (bits == 2) return {-127, -41, 14, 80};
  if (bits == 3) return {-127, -78, -44, -18, 4, 28, 54, 92};
  return {-127, -95, -73, -56, -42, -30, -19, -9, 1, 11, 22, 33, 45, 60, 78, 100};
}

std::vector<float> nf4_levels() {
  return {-127, -88, -67, -50, -36, -23, -12, 0, 10, 20, 31, 43, 56, 71, 92, 127};
}

std::vector<float> e2m1_levels() {
  return {-12, -8, -6, -4, -3, -2, -1, 0, 0, 1, 2, 3, 4, 6, 8, 12};
}

std::vector<float> ternary_levels() { return {-1, -1, 0, 1}; }

int nvfp4_exponent(float extreme) {
  constexpr float kReach = 12.0f * 256;  // short of 448: a search tries larger scales too
  if (!(extreme > 0)) return 0;
  int exponent = 0;
  const float fraction = std::frexp(extreme / kReach, &exponent);
  if (fraction == 0.5f) --exponent;
  return std::clamp(exponent, -100, 100);
}

Expected<int> nvfp4_exponent(const ir::Weight& weight) {
  THIMBLE_ASSIGN(const float extreme, extreme_of(weight));
  return nvfp4_exponent(extreme);
}

std::vector<float> iq4_nl_levels() {
  return {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
}

Expected<std::vector<float>> fit_levels(const WeightMatrix& weights, const ir::Encoding& encoding,
                                        const SearchOptions& options) {
  LevelFit fit(weights, encoding, options);
  THIMBLE_TRY(fit.improve(normal_levels(encoding.bits)));
  THIMBLE_TRY(fit.improve(uniform_levels(encoding.bits)));
  return std::move(fit).best();
}

Expected<std::vector<float>> fit_levels(const ir::Weight& from, const ir::Encoding& encoding,
                                        const SearchOptions& options) {
  ir::Weight encoded = from;
  encoded.encoding = encoding;
  const std::int64_t rows = encoded.rows(), inputs = encoded.inputs();
  if (rows == 0 || inputs == 0) return normal_levels(encoding.bits);
  THIMBLE_ASSIGN(const std::vector<float> weights, sample(from, encoding, rows, inputs));
  auto levels = fit_levels({weights, std::ssize(weights) / inputs, inputs}, encoding, options);
  if (!levels) return std::move(levels).error().at_tensor(from.name);
  return levels;
}

}  // namespace thimble::quant

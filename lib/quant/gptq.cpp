#include "quant/gptq.h"

#include <algorithm>
#include <numeric>

#include "ir/decode.h"
#include "linalg/cholesky.h"
#include "quant/fit.h"
#include "quant/hessian.h"
#include "quant/parallel.h"
#include "support/checked.h"

namespace thimble::quant {
namespace {

using linalg::Region;
using linalg::row_major;
using linalg::Update;

std::vector<std::int64_t> turns(const Hessian& hessian, bool by_energy) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(hessian.inputs()));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  if (by_energy) {
    std::stable_sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
      return hessian.diagonal(a) > hessian.diagonal(b);
    });
  }
  return order;
}

Expected<std::vector<float>> upper_factor(const GptqFactors& factors, ThreadPool& pool) {
  const GptqOptions& options = factors.options;
  std::vector<double> damped = factors.hessian.permuted(factors.order, options.damp, pool);
  auto upper = linalg::inverse_upper(damped, factors.hessian.inputs(), pool, options.gemm_kernels);
  if (upper) return upper;
  return std::move(upper)
      .error()
      .note("this is the Hessian of the inputs, damped")
      .fix("raise `damp` or calibrate with more tokens");
}

std::vector<float> pull_of(const GptqFactors& factors, ThreadPool& pool) {
  const GptqOptions& options = factors.options;
  const std::int64_t n = factors.hessian.inputs();
  const double unit = factors.hessian.unit() * options.asymmetry_share;
  std::vector<float> d(static_cast<std::size_t>(n * n)), product(d.size()), pull(d.size());
  for (std::int64_t i = 0; i < n; ++i) {
    const double* row = options.asymmetry.data() + factors.order[static_cast<std::size_t>(i)] * n;
    for (std::int64_t j = 0; j < n; ++j) {
      d[static_cast<std::size_t>(i * n + j)] =
          static_cast<float>(row[factors.order[static_cast<std::size_t>(j)]] * unit);
    }
  }
  const auto u = row_major<const float>(factors.upper.data(), n, n);
  gemm(row_major<const float>(d.data(), n, n), u.transposed(), row_major(product.data(), n, n),
       Update::kAdd, Region::kAll, pool, options.gemm_kernels);
  for (std::int64_t i = 0; i < n; ++i) std::fill_n(product.begin() + i * n, i + 1, 0.0f);
  gemm(row_major<const float>(product.data(), n, n), u, row_major(pull.data(), n, n), Update::kAdd,
       Region::kAll, pool, options.gemm_kernels);
  return pull;
}

// The weights as they change, a row per input in the order of their turns; kLanes rows of the
// matrix side by side are one strip, which no other touches.
class Solver {
 public:
  Solver(const WeightMatrix& weights, const GptqFactors& factors, const ir::Encoding& encoding,
         const SearchOptions& search, ir::Rows& out, ThreadPool& pool)
      : rows_(weights.rows),
        inputs_(weights.inputs),
        width_(round_up<std::int64_t>(rows_, kLanes)),
        groups_(encoding.groups(inputs_)),
        group_size_(encoding.group_width(inputs_)),
        options_(factors.options),
        factors_(factors),
        order_(factors.order),
        importance_(search.importance),
        out_(out),
        given_(encoding, out, weights.inputs),
        pool_(pool),
        fixed_(options_.static_groups || options_.act_order || groups_ == 1 ||
               encoding.kind == ir::EncodingKind::kSuperBlock),
        encoding_(encoding),
        input_(fit_input(encoding)),
        kernels_(options_.kernels != nullptr ? *options_.kernels : fit_kernels()) {
    input_.search = search.search == Search::kMse;
    weights_.resize(static_cast<std::size_t>(inputs_ * width_));
    each_strip([&](std::int64_t row, std::int64_t count) {
      for (std::int64_t i = 0; i < inputs_; ++i) {
        float* to = weights_.data() + i * width_ + row;
        const float* from =
            weights.values.data() + row * inputs_ + order_[static_cast<std::size_t>(i)];
        for (std::int64_t r = 0; r < count; ++r) to[r] = from[r * inputs_];
      }
    });
  }

  void run() {
    for (std::int64_t begin = 0; begin < inputs_;) {
      const std::int64_t end = block_end(begin);
      errors_.assign(static_cast<std::size_t>((end - begin) * width_), 0);
      each_strip([&](std::int64_t row, std::int64_t count) { block(begin, end, row, count); });
      pass_on(begin, end);
      begin = end;
    }
  }

 private:
  template <class F>
  void each_strip(F f) {
    const auto strips = static_cast<std::size_t>(width_ / kLanes);
    pool_.parallel_each(strips, 1, [&](std::size_t strip) {
      const std::int64_t row = static_cast<std::int64_t>(strip) * kLanes;
      f(row, std::min<std::int64_t>(kLanes, rows_ - row));
    });
  }

  // A group begins with all errors before it passed on: either blocks hold whole groups or they end
  // where groups do.
  std::int64_t block_end(std::int64_t begin) const {
    std::int64_t end = begin + options_.block_size;
    if (!fixed_ && group_size_ <= options_.block_size) {
      end = begin + options_.block_size / group_size_ * group_size_;
    } else if (!fixed_) {
      end = std::min(end, (begin / group_size_ + 1) * group_size_);
    }
    return std::min(end, inputs_);
  }

  void block(std::int64_t begin, std::int64_t end, std::int64_t row, std::int64_t count) {
    const std::int64_t n = end - begin;
    std::vector<float> lanes(static_cast<std::size_t>(n * kLanes)), errors(lanes.size());
    std::vector<std::uint8_t> codes(lanes.size());
    copy_lanes(weights_.data() + begin * width_ + row, width_, n, lanes.data(), kLanes);
    Compensation step;
    step.weights = lanes.data();
    step.errors = errors.data();
    step.codes = codes.data();
    step.factor = factors_.upper.data() + begin * inputs_ + begin;
    if (!factors_.pull.empty()) {
      step.asymmetry = factors_.pull.data() + begin * inputs_ + begin;
    }
    step.stride = inputs_;
    step.n = n;
    step.top = input_.top;
    step.table = input_.table;
    for (step.begin = 0; step.begin < n; step.begin = step.end) {
      const std::int64_t group = group_of(begin + step.begin);
      step.end = step.begin + 1;
      while (step.end < n && group_of(begin + step.end) == group) ++step.end;
      const FitParameters parameters = !fixed_ && begin + step.begin == group * group_size_
                                           ? fit_group(group, step, begin, row, count)
                                           : stored(group, row, count);
      kernels_.compensate(step, parameters);
    }
    for (std::int64_t i = 0; i < n; ++i) {
      std::uint8_t* to = out_.codes.data() + row * inputs_ + order_at(begin + i);
      for (std::int64_t r = 0; r < count; ++r) {
        to[r * inputs_] = codes[static_cast<std::size_t>(i * kLanes + r)];
      }
    }
    copy_lanes(errors.data(), kLanes, n, errors_.data() + row, width_);
    // The weights that were rounded: GPTAQ's term asks for them.
    copy_lanes(lanes.data(), kLanes, n, weights_.data() + begin * width_ + row, width_);
  }

  // What a finished block does to all inputs after it.
  void pass_on(std::int64_t begin, std::int64_t end) {
    const std::int64_t n = end - begin, rest = inputs_ - end;
    if (rest == 0) return;
    const auto later = row_major(weights_.data() + end * width_, rest, width_);
    const auto part = [&](const std::vector<float>& factor) {
      return linalg::Matrix<const float>{factor.data() + begin * inputs_ + end, n, rest, inputs_, 1}
          .transposed();
    };
    gemm(part(factors_.upper), row_major<const float>(errors_.data(), n, width_), later,
         Update::kSubtract, Region::kAll, pool_, options_.gemm_kernels);
    if (factors_.pull.empty()) return;
    gemm(part(factors_.pull), row_major<const float>(weights_.data() + begin * width_, n, width_),
         later, Update::kAdd, Region::kAll, pool_, options_.gemm_kernels);
  }

  FitParameters fit_group(std::int64_t group, const Compensation& step, std::int64_t block,
                          std::int64_t row, std::int64_t count) {
    const std::int64_t first = group * group_size_;
    FitInput input = input_;
    input.n = std::min(group_size_, inputs_ - first);
    input.importance = importance_.empty() ? nullptr : importance_.data() + first;
    std::vector<float> aside;  // a group that is longer than the block
    if (first + input.n <= block + step.n) {
      input.x = step.weights + step.begin * kLanes;
    } else {
      aside.resize(static_cast<std::size_t>(input.n * kLanes));
      copy_lanes(weights_.data() + first * width_ + row, width_, input.n, aside.data(), kLanes);
      input.x = aside.data();
    }
    FitParameters parameters;
    kernels_.fit(input, parameters);
    for (std::int64_t r = 0; r < count; ++r) {
      const auto at = static_cast<std::size_t>((row + r) * groups_ + group);
      out_.scales[at] = parameters.scale[r];
      if (!out_.zero_points.empty()) {
        out_.zero_points[at] = static_cast<std::uint8_t>(parameters.zero[r]);
      }
      if (!out_.minima.empty()) out_.minima[at] = parameters.minimum[r];
    }
    return parameters;
  }

  FitParameters stored(std::int64_t group, std::int64_t row, std::int64_t count) const {
    FitParameters parameters{};
    for (std::int64_t r = 0; r < count; ++r) {
      const ir::GroupParameters p = given_.at(row + r, group);
      parameters.scale[r] = p.scale;
      parameters.zero[r] = out_.minima.empty() ? static_cast<float>(p.zero) : 0.0f;
      parameters.minimum[r] = p.minimum;
    }
    return parameters;
  }

  static void copy_lanes(const float* from, std::int64_t from_stride, std::int64_t n, float* to,
                         std::int64_t to_stride) {
    for (std::int64_t i = 0; i < n; ++i) {
      std::copy_n(from + i * from_stride, kLanes, to + i * to_stride);
    }
  }

  std::int64_t order_at(std::int64_t turn) const { return order_[static_cast<std::size_t>(turn)]; }
  std::int64_t group_of(std::int64_t turn) const { return order_at(turn) / group_size_; }

  std::int64_t rows_, inputs_, width_, groups_, group_size_;
  const GptqOptions& options_;
  const GptqFactors& factors_;
  const std::vector<std::int64_t>& order_;
  std::span<const float> importance_;
  ir::Rows& out_;
  ir::RowGroups given_;  // what out holds where parameters are fixed
  ThreadPool& pool_;
  bool fixed_;  // parameters of all groups are those of the original weights
  const ir::Encoding& encoding_;
  FitInput input_;
  const FitKernels& kernels_;
  std::vector<float> weights_;  // [inputs][width]
  std::vector<float> errors_;   // [block][width]
};

}  // namespace

Expected<GptqFactors> gptq_factors(std::span<const double> hessian, std::int64_t inputs,
                                   const GptqOptions& options, ThreadPool& pool) {
  THIMBLE_CHECK(options.asymmetry.empty() || options.asymmetry.size() == hessian.size(),
                "the asymmetry is [inputs, inputs]");
  THIMBLE_CHECK(options.block_size >= 1 && options.damp > 0, "options lie in their ranges");
  THIMBLE_ASSIGN(const Hessian view, Hessian::make(hessian, inputs));
  GptqFactors factors{options, view, turns(view, options.act_order), {}, {}};
  THIMBLE_ASSIGN(factors.upper, upper_factor(factors, pool));
  if (!options.asymmetry.empty()) factors.pull = pull_of(factors, pool);
  return factors;
}

Expected<GptqResult> gptq(const WeightMatrix& weights, const GptqFactors& factors,
                          const ir::Encoding& encoding, Search search, ThreadPool& pool) {
  const GptqOptions& options = factors.options;
  THIMBLE_CHECK(!encoding.per_tensor, "gptq's scales are of rows, groups or super-blocks");
  THIMBLE_CHECK(weights.is_whole() && weights.inputs == factors.hessian.inputs(),
                "weights are [rows, inputs]");
  GptqResult result;
  result.dead = factors.hessian.dead();
  const SearchOptions weighted{search, factors.hessian.importance()};
  THIMBLE_TRY(quantize_rows_parallel(weights, encoding, weighted, result.rows, pool));
  const auto measure = [&](double& error, double& cross) -> Status {
    THIMBLE_ASSIGN(const auto errors, rounding_errors(weights, result.rows, encoding, pool));
    error = factors.hessian.error(errors, weights.rows, pool, options.gemm_kernels);
    cross = options.asymmetry_share *
            cross_error(weights, errors, options.asymmetry, pool, options.gemm_kernels);
    return ok();
  };
  THIMBLE_TRY(measure(result.rounding_error, result.rounding_cross_error));
  Solver(weights, factors, encoding, weighted, result.rows, pool).run();
  THIMBLE_TRY(measure(result.error, result.cross_error));
  return result;
}

}  // namespace thimble::quant

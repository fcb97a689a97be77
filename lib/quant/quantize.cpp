#include "quant/quantize.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "quant/fit.h"
#include "quant/super_block.h"
#include "support/finite.h"
#include "support/half.h"

namespace thimble::quant {
namespace {

constexpr float kLargestHalf = 65504.0f;
constexpr float kLeastHalf = 0x1p-24f;

// To the nearest number that an f16 holds, ties to even, without branches: loops over it vectorise.
float round_half(float value) {
  const float size = std::fabs(value);
  const float subnormal = (size + 0x1.8p-1f) - 0x1.8p-1f;  // a multiple of 2^-24
  const auto bits = std::bit_cast<std::uint32_t>(size);
  const float normal = std::bit_cast<float>((bits + 0xfffu + ((bits >> 13) & 1u)) & ~0x1fffu);
  const float rounded = size < 0x1p-14f ? subnormal : normal;
  return std::copysign(rounded < kLargestHalf ? rounded : kLargestHalf, value);
}

// A scale that isn't 0 must not become 0: that would lose the group.
float round_half_scale(float value) {
  const float half = std::fabs(round_half(value));
  const float kept = half < kLeastHalf ? kLeastHalf : half;
  return value == 0 ? 0.0f : std::copysign(kept, value);
}

float round_bfloat(float value) {
  const float rounded = bfloat_to_float(float_to_bfloat(value));
  return std::isinf(rounded) ? std::copysign(0x1.fep127f, value) : rounded;
}

// A power of two as the OCP's MX formats choose it (MX specification 1.0, section 6.3): the largest
// one under the extreme weight, over that under the largest level, which is 1.5 times a power.
float round_power(float value) {
  constexpr float kLeast = 0x1p-126f, kMost = 0x1p127f;
  if (value == 0) return 0;
  const float more = std::min(1.5f * std::fabs(value), kMost);
  const float power = std::bit_cast<float>(std::bit_cast<std::uint32_t>(more) & 0x7f800000u);
  return std::max(power, kLeast);
}

// To the nearest number above 0 that an E4M3 holds, ties to even.
float round_e4m3(float value) {
  constexpr float kLeast = 0x1p-9f, kMost = 448;
  if (value == 0) return 0;
  const float size = std::min(std::fabs(value), kMost);
  const auto bits = std::bit_cast<std::uint32_t>(size);
  const float normal = std::bit_cast<float>((bits + 0x7ffffu + ((bits >> 20) & 1u)) & ~0xfffffu);
  const float subnormal = (size + 0x1.8p14f) - 0x1.8p14f;  // a multiple of 2^-9
  return std::max(size < 0x1p-6f ? subnormal : normal, kLeast);
}

template <float (*kRound)(float)>
void round_lanes(float* lanes) {
  for (int i = 0; i < kLanes; ++i) lanes[i] = kRound(lanes[i]);
}
void keep_lanes(float*) {}

using Rounder = void (*)(float*);

Rounder scale_rounder(ir::DType type) {
  if (type == ir::DType::kF8E8M0) return round_lanes<round_power>;
  if (type == ir::DType::kF8E4M3FN) return round_lanes<round_e4m3>;
  if (type == ir::DType::kF16) return round_lanes<round_half_scale>;
  return type == ir::DType::kBF16 ? round_lanes<round_bfloat> : keep_lanes;
}
Rounder minimum_rounder(ir::DType type) {
  if (type == ir::DType::kF16) return round_lanes<round_half>;
  return type == ir::DType::kBF16 ? round_lanes<round_bfloat> : keep_lanes;
}

Status check(const WeightMatrix& weights) {
  for (std::int64_t row = 0; row < weights.rows; ++row) {
    if (all_finite(weights.row(row))) continue;
    return unsupported("row " + std::to_string(row) + " holds a weight that is not finite")
        .fix("leave this tensor unquantized (`skip: true` in a rule), or repair the model");
  }
  return ok();
}

class Quantizer {
 public:
  Quantizer(const WeightMatrix& weights, const ir::Encoding& encoding, const SearchOptions& options,
            ir::Rows& out, const TensorParameters* tensor, RowErrors* errors)
      : weights_(weights.values),
        rows_(weights.rows),
        inputs_(weights.inputs),
        encoding_(encoding),
        options_(options),
        out_(out),
        tensor_(tensor),
        errors_(errors),
        groups_(encoding.groups(inputs_)),
        size_(encoding.group_width(inputs_)) {
    input_ = fit_input(encoding);
    input_.search = options.search == Search::kMse;
    super_ = encoding.kind == ir::EncodingKind::kSuperBlock;
    lanes_.resize(static_cast<std::size_t>((super_ ? inputs_ : size_) * kLanes));
    codes_.resize(static_cast<std::size_t>(size_ * kLanes));
  }

  void run() {
    allocate();
    for (std::int64_t row = 0; row < rows_; row += kLanes) {
      const std::int64_t count = std::min<std::int64_t>(kLanes, rows_ - row);
      if (count == kLanes) {
        rows(row, kLanes, weights_.data() + row * inputs_, out_.codes.data() + row * inputs_);
      } else {
        last_rows(row, count);
      }
    }
  }

 private:
  void allocate() {
    const auto count = static_cast<std::size_t>(rows_);
    out_ = empty_rows(encoding_, rows_, inputs_);
    if (errors_ != nullptr) *errors_ = {std::vector<double>(count), std::vector<double>(count)};
  }

  // Fewer rows than lanes: the missing ones are zero.
  void last_rows(std::int64_t row, std::int64_t count) {
    std::vector<float> padded(static_cast<std::size_t>(kLanes * inputs_));
    std::vector<std::uint8_t> codes(padded.size());
    std::copy_n(weights_.data() + row * inputs_, count * inputs_, padded.data());
    rows(row, count, padded.data(), codes.data());
    std::copy_n(codes.data(), count * inputs_, out_.codes.data() + row * inputs_);
  }

  // kLanes rows of weights and codes, of which `count` are kept.
  void rows(std::int64_t row, std::int64_t count, const float* weights, std::uint8_t* codes) {
    if (super_) return super_rows(row, count, weights, codes);
    for (std::int64_t g = 0; g < groups_; ++g) {
      const std::int64_t begin = g * size_;
      input_.n = std::min(size_, inputs_ - begin);
      if (input_.n == 0) return;
      input_.x = lanes_.data();
      input_.importance =
          options_.importance.empty() ? nullptr : options_.importance.data() + begin;
      kernels_.to_lanes(weights + begin, inputs_, input_.n, lanes_.data());
      FitParameters parameters;
      if (encoding_.per_tensor) {
        std::fill_n(parameters.scale, kLanes, tensor_->scale);
        std::fill_n(parameters.zero, kLanes, static_cast<float>(tensor_->zero));
        std::fill_n(parameters.minimum, kLanes, tensor_->minimum);
      } else {
        kernels_.fit(input_, parameters);
      }
      FitCodes fitted;
      encode(parameters, codes + begin, fitted);
      for (int r = 0; r < count; ++r) {
        keep(row + r, g, r, parameters);
        keep_errors(row + r, r, fitted);
      }
    }
  }

  void encode(const FitParameters& parameters, std::uint8_t* codes, FitCodes& fitted) {
    fitted.codes = codes_.data();
    kernels_.encode(input_, parameters, fitted);
    kernels_.from_lanes(codes_.data(), input_.n, codes, inputs_);
  }

  void super_rows(std::int64_t row, std::int64_t count, const float* weights, std::uint8_t* codes) {
    const std::int64_t supers = encoding_.supers(inputs_);
    const float* importance = options_.importance.empty() ? nullptr : options_.importance.data();
    for (std::int64_t s = 0; s < supers; ++s) {
      const std::int64_t begin = s * encoding_.super_size;
      const std::int64_t n = std::min(encoding_.super_size, inputs_ - begin);
      kernels_.to_lanes(weights + begin, inputs_, n, lanes_.data());
      input_.importance = importance == nullptr ? nullptr : importance + begin;
      fit_super_block(kernels_, input_, encoding_, lanes_.data(), n, scales_);
      for (int r = 0; r < count; ++r)
        out_.scales[static_cast<std::size_t>((row + r) * supers + s)] = scales_.scale[r];
      const std::int64_t first = begin / encoding_.group_size;
      for (std::int64_t g = 0; g < std::ssize(scales_.groups); ++g) {
        const std::int64_t at = g * encoding_.group_size;
        input_.x = lanes_.data() + at * kLanes;
        input_.n = std::min(encoding_.group_size, n - at);
        FitCodes fitted;
        encode(scales_.groups[static_cast<std::size_t>(g)], codes + begin + at, fitted);
        for (int r = 0; r < count; ++r) {
          out_.sub_scales[static_cast<std::size_t>((row + r) * groups_ + first + g)] =
              scales_.subs[static_cast<std::size_t>(g * kLanes + r)];
          keep_errors(row + r, r, fitted);
        }
      }
    }
  }

  void keep(std::int64_t row, std::int64_t g, int lane, const FitParameters& p) {
    const auto at = static_cast<std::size_t>(encoding_.per_tensor ? 0 : row * groups_ + g);
    out_.scales[at] = p.scale[lane];
    if (!out_.zero_points.empty()) out_.zero_points[at] = static_cast<std::uint8_t>(p.zero[lane]);
    if (!out_.minima.empty()) out_.minima[at] = p.minimum[lane];
  }

  void keep_errors(std::int64_t row, int lane, const FitCodes& f) {
    if (errors_ == nullptr) return;
    errors_->noise[static_cast<std::size_t>(row)] += f.noise[lane];
    errors_->signal[static_cast<std::size_t>(row)] += f.signal[lane];
  }

  std::span<const float> weights_;
  std::int64_t rows_, inputs_;
  const ir::Encoding& encoding_;
  const SearchOptions& options_;
  ir::Rows& out_;
  const TensorParameters* tensor_;
  RowErrors* errors_;
  std::int64_t groups_, size_;
  bool super_ = false;
  SuperScales scales_;
  FitInput input_;
  std::vector<float> lanes_;
  std::vector<std::uint8_t> codes_;
  const FitKernels& kernels_ = fit_kernels();
};

}  // namespace

ir::Rows empty_rows(const ir::Encoding& encoding, std::int64_t rows, std::int64_t inputs) {
  const auto count = static_cast<std::size_t>(rows);
  const std::size_t groups =
      encoding.per_tensor ? 1 : count * static_cast<std::size_t>(encoding.groups(inputs));
  const bool super = encoding.kind == ir::EncodingKind::kSuperBlock;
  const std::size_t scales =
      super ? count * static_cast<std::size_t>(encoding.supers(inputs)) : groups;
  ir::Rows out;
  out.count = rows;
  out.codes.resize(count * static_cast<std::size_t>(inputs));
  out.scales.resize(scales);
  if (encoding.zero == ir::ZeroKind::kPoints) out.zero_points.resize(groups);
  if (encoding.zero == ir::ZeroKind::kMinima) out.minima.resize(scales);
  if (super) out.sub_scales.resize(groups);
  if (super && encoding.zero == ir::ZeroKind::kMinima) out.sub_minima.resize(groups);
  return out;
}

FitInput fit_input(const ir::Encoding& encoding) {
  FitInput input;
  input.zero_kind = encoding.zero;
  input.constant_zero = encoding.constant_zero;
  input.top = (1 << encoding.bits) - 1;
  if (!encoding.table.empty()) input.table = encoding.table.data();
  input.round_scales = scale_rounder(encoding.scale_type);
  input.round_minima = minimum_rounder(encoding.scale_type);
  input.scale_unit = std::ldexp(1.0f, encoding.scale_exponent);
  input.positive = ir::dtype_bits(encoding.scale_type) == 8;  // such scales have no sign
  return input;
}

Status quantize_rows(const WeightMatrix& weights, const ir::Encoding& encoding,
                     const SearchOptions& options, ir::Rows& out, const TensorParameters* tensor,
                     RowErrors* errors) {
  const bool around_constant = encoding.zero == ir::ZeroKind::kConstant;
  const bool known = encoding.kind == ir::EncodingKind::kAffine ||
                     (around_constant && (encoding.kind == ir::EncodingKind::kSuperBlock ||
                                          encoding.kind == ir::EncodingKind::kCodebook));
  THIMBLE_CHECK(
      known && encoding.bits >= 1 && encoding.bits <= 8,
      "quantize_rows writes affine codes, tables and super-blocks, not " + encoding.to_string());
  THIMBLE_CHECK(
      encoding.table.empty() || (encoding.table.size() == std::size_t{1} << encoding.bits &&
                                 std::is_sorted(encoding.table.begin(), encoding.table.end())),
      "a table has an entry for each code, ascending");
  THIMBLE_CHECK(weights.is_whole(), "weights are [rows, inputs]");
  THIMBLE_CHECK(options.importance.empty() || std::ssize(options.importance) == weights.inputs,
                "one importance per input");
  THIMBLE_CHECK(!encoding.per_tensor || tensor != nullptr, "parameters of the tensor are given");
  THIMBLE_TRY(check(weights));
  Quantizer(weights, encoding, options, out, tensor, errors).run();
  return ok();
}

TensorFit::TensorFit(const ir::Encoding& encoding, const SearchOptions& options)
    : encoding_(encoding), search_(options.search == Search::kMse) {}

// Parameters whose range is the extremes' divided by `factor`.
TensorParameters TensorFit::candidate(double factor) const {
  const double top = (1 << encoding_.bits) - 1;
  const auto scale_of = [&](double scale) {
    return round_one(scale_rounder(encoding_.scale_type), static_cast<float>(scale / factor));
  };
  TensorParameters p;
  if (encoding_.zero == ir::ZeroKind::kConstant) {
    const double reach =
        std::max(1.0, std::min<double>(encoding_.constant_zero, top - encoding_.constant_zero));
    p.scale = scale_of(std::max(high_, -low_) / reach);
    p.zero = encoding_.constant_zero;
    return p;
  }
  const bool points = encoding_.zero == ir::ZeroKind::kPoints;
  const double low = points ? std::min(low_, 0.0) : low_,
               high = points ? std::max(high_, 0.0) : high_;
  p.scale = scale_of((high - low) / top);
  const double start = (high + low) / 2 - p.scale * top / 2;
  if (points) {
    p.zero =
        p.scale == 0 ? 0 : static_cast<int>(std::clamp(nearest_whole(-start / p.scale), 0.0, top));
  } else {
    const double minimum = factor == 1 ? low : start;
    p.minimum = round_one(minimum_rounder(encoding_.scale_type), static_cast<float>(minimum));
  }
  return p;
}

Status TensorFit::add(std::span<const float> weights) {
  if (pass_ == 0) {
    if (!all_finite(weights)) {
      return unsupported("a weight is not finite")
          .fix("leave this tensor unquantized (`skip: true` in a rule), or repair the model");
    }
    for (const float w : weights) {
      low_ = std::min<double>(low_, w);
      high_ = std::max<double>(high_, w);
    }
    return ok();
  }
  const float top = static_cast<float>((1 << encoding_.bits) - 1);
  for (std::size_t c = 0; c < candidates_.size(); ++c) {
    const TensorParameters& p = candidates_[c];
    const float inverse = p.scale == 0 ? 0 : 1 / p.scale;
    const float zero = static_cast<float>(p.zero);
    double noise = 0;
    for (const float w : weights) {
      const double code =
          std::clamp<double>(nearest_whole((w - p.minimum) * inverse), -zero, top - zero);
      const double difference = w - p.minimum - p.scale * code;
      noise += difference * difference;
    }
    noise_[c] += noise;
  }
  return ok();
}

bool TensorFit::next() {
  if (pass_ == 0) {
    parameters_ = candidate(1);
    pass_ = 1;
    if (!search_) return false;
    for (int c = 0; c < 24; ++c) candidates_.push_back(candidate(1 + 0.05 * c));
    noise_.assign(candidates_.size(), 0);
    return true;
  }
  const auto least = std::min_element(noise_.begin(), noise_.end()) - noise_.begin();
  parameters_ = candidates_[static_cast<std::size_t>(least)];
  return false;
}

std::vector<float> relative_importance(std::span<const double> energies) {
  const double most = energies.empty() ? 0 : *std::max_element(energies.begin(), energies.end());
  std::vector<float> relative;
  if (!(most > 0)) return relative;
  for (const double energy : energies) relative.push_back(static_cast<float>(energy / most));
  return relative;
}

}  // namespace thimble::quant

#include "quant/super_block.h"

#include <algorithm>
#include <cmath>

#include "support/checked.h"

namespace thimble::quant {
namespace {

// Of the extreme group's sub-scale: below 1 it stays short of the largest code.
constexpr float kFactors[] = {0.8f, 0.9f, 1.0f, 1.1f};

void keep_scales(float*) {}

float nearest_whole(float x) {  // ties to even, |x| < 2^22
  return (x + 0x1.8p23f) - 0x1.8p23f;
}

// One lane's groups: their best scales and how their errors grow around them.
struct Lane {
  std::vector<float> scales, curvatures;
};

class SuperFit {
 public:
  SuperFit(const FitKernels& kernels, const FitInput& input, const ir::Encoding& encoding,
           const float* lanes, std::int64_t n, SuperScales& out)
      : kernels_(kernels),
        input_(input),
        lanes_(lanes),
        n_(n),
        size_(encoding.group_size),
        groups_(ceil_div(n, encoding.group_size)),
        zero_(encoding.sub_scale_zero),
        top_((1 << encoding.sub_bits) - 1),
        out_(out) {
    out.subs.assign(static_cast<std::size_t>(groups_ * kLanes), 0);
    out.groups.assign(static_cast<std::size_t>(groups_), FitParameters{});
  }

  void fit() {
    std::vector<Lane> lanes(kLanes);
    fit_groups(lanes);
    for (int r = 0; r < kLanes; ++r) choose_scale(lanes[static_cast<std::size_t>(r)], r);
    if (input_.search) {
      for (std::int64_t g = 0; g < groups_; ++g) try_neighbours(g);
      refit();
    }
    for (std::int64_t g = 0; g < groups_; ++g) set(out_.groups[index(g)], g, out_.scale);
  }

 private:
  static std::size_t index(std::int64_t group) { return static_cast<std::size_t>(group); }
  std::uint8_t& sub(std::int64_t group, int lane) {
    return out_.subs[static_cast<std::size_t>(group * kLanes + lane)];
  }

  FitInput input_of(std::int64_t group) const {
    FitInput input = input_;
    const std::int64_t begin = group * size_;
    input.x = lanes_ + begin * kLanes;
    input.n = std::min(size_, n_ - begin);
    if (input.importance != nullptr) input.importance += begin;
    return input;
  }

  void set(FitParameters& parameters, std::int64_t group, const float* scale) {
    for (int r = 0; r < kLanes; ++r) {
      parameters.scale[r] = scale[r] * static_cast<float>(sub(group, r) - zero_);
      parameters.zero[r] = static_cast<float>(input_.constant_zero);
      parameters.minimum[r] = 0;
    }
  }

  void fit_groups(std::vector<Lane>& lanes) {
    for (std::int64_t g = 0; g < groups_; ++g) {
      FitInput input = input_of(g);
      input.round_scales = keep_scales;
      input.positive = zero_ == 0;
      FitParameters parameters;
      FitMeasure measured;
      kernels_.fit(input, parameters);
      kernels_.measure(input, parameters, measured);
      for (std::size_t r = 0; r < kLanes; ++r) {
        lanes[r].scales.push_back(parameters.scale[r]);
        lanes[r].curvatures.push_back(measured.pp[r]);
      }
    }
  }

  float rounded(float scale) const { return round_one(input_.round_scales, scale); }
  float code_near(float scale, float d) const {
    const float low = static_cast<float>(-zero_), high = static_cast<float>(top_ - zero_);
    return d == 0 ? 0 : std::clamp(nearest_whole(std::clamp(scale / d, low, high)), low, high);
  }

  double cost(const Lane& lane, float d) const {
    double sum = 0;
    for (std::size_t g = 0; g < lane.scales.size(); ++g) {
      const double off = lane.scales[g] - d * code_near(lane.scales[g], d);
      sum += lane.curvatures[g] * off * off;
    }
    return sum;
  }
  // Least squares under the codes that d gives.
  float refitted(const Lane& lane, float d) const {
    double product = 0, square = 0;
    for (std::size_t g = 0; g < lane.scales.size(); ++g) {
      const double code = code_near(lane.scales[g], d);
      product += lane.curvatures[g] * lane.scales[g] * code;
      square += lane.curvatures[g] * code * code;
    }
    return square == 0 ? d : static_cast<float>(product / square);
  }

  void choose_scale(const Lane& lane, int r) {
    float extreme = 0;
    for (const float scale : lane.scales) {
      if (std::fabs(scale) > std::fabs(extreme)) extreme = scale;
    }
    float best = 0;
    double least = -1;
    const auto offer = [&](float d) {
      const float stored = rounded(d);
      const double value = cost(lane, stored);
      if (least >= 0 && value >= least) return;
      least = value;
      best = stored;
    };
    offer(extreme / static_cast<float>(zero_ == 0 ? top_ : -zero_));
    if (input_.search) {
      for (const float factor : kFactors) {
        for (const int end : {-zero_, top_ - zero_}) {
          if (end == 0) continue;
          const float d = extreme / (static_cast<float>(end) * factor);
          offer(d);
          offer(refitted(lane, rounded(d)));
        }
      }
    }
    out_.scale[r] = best;
    for (std::int64_t g = 0; g < groups_; ++g)
      sub(g, r) = static_cast<std::uint8_t>(
          static_cast<int>(code_near(lane.scales[index(g)], best)) + zero_);
  }

  void try_neighbours(std::int64_t group) {
    const FitInput input = input_of(group);
    FitParameters parameters;
    FitMeasure measured;
    set(parameters, group, out_.scale);
    kernels_.measure(input, parameters, measured);
    float least[kLanes];
    int centre[kLanes];
    std::copy_n(measured.error, kLanes, least);
    for (int r = 0; r < kLanes; ++r) centre[r] = sub(group, r);
    for (const int step : {-1, 1}) {
      int tried[kLanes];
      for (int r = 0; r < kLanes; ++r) {
        tried[r] = std::clamp(centre[r] + step, 0, top_);
        parameters.scale[r] = out_.scale[r] * static_cast<float>(tried[r] - zero_);
      }
      kernels_.measure(input, parameters, measured);
      for (int r = 0; r < kLanes; ++r) {
        if (!(measured.error[r] < least[r])) continue;
        least[r] = measured.error[r];
        sub(group, r) = static_cast<std::uint8_t>(tried[r]);
      }
    }
  }

  // The super-block's scale by least squares under the codes; kept where the error falls.
  void refit() {
    double product[kLanes] = {}, square[kLanes] = {}, before[kLanes] = {}, after[kLanes] = {};
    const auto each_group = [&](const float* scale, const auto& take) {
      for (std::int64_t g = 0; g < groups_; ++g) {
        FitParameters parameters;
        FitMeasure measured;
        set(parameters, g, scale);
        kernels_.measure(input_of(g), parameters, measured);
        for (int r = 0; r < kLanes; ++r) take(g, r, measured);
      }
    };
    each_group(out_.scale, [&](std::int64_t g, int r, const FitMeasure& measured) {
      const double code = sub(g, r) - zero_;
      before[r] += measured.error[r];
      product[r] += code * measured.yp[r];
      square[r] += code * code * measured.pp[r];
    });
    float scale[kLanes];
    for (int r = 0; r < kLanes; ++r)
      scale[r] =
          square[r] == 0 ? out_.scale[r] : rounded(static_cast<float>(product[r] / square[r]));
    each_group(scale, [&](std::int64_t, int r, const FitMeasure& measured) {
      after[r] += measured.error[r];
    });
    for (int r = 0; r < kLanes; ++r) {
      if (after[r] < before[r]) out_.scale[r] = scale[r];
    }
  }

  const FitKernels& kernels_;
  FitInput input_;
  const float* lanes_;
  std::int64_t n_, size_, groups_;
  int zero_, top_;
  SuperScales& out_;
};

}  // namespace

void fit_super_block(const FitKernels& kernels, const FitInput& input, const ir::Encoding& encoding,
                     const float* lanes, std::int64_t n, SuperScales& out) {
  SuperFit(kernels, input, encoding, lanes, n, out).fit();
}

}  // namespace thimble::quant

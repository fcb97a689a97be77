// correct-bias: takes the mean of what encoding did to a product's outputs out of its bias,
// b + (W - Q(W)) E[x], with E[x] from the calibration (Nagel et al. 2019, arXiv 1906.04721, section
// 4.2). Layer by layer, so later layers see the corrected ones. A product without a bias gets one.

#include "passes/quantize/correct_bias.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "passes/quantize/compensation.h"
#include "passes/quantize/rewritten.h"
#include "passes/quantize/settings.h"

namespace thimble::passes {
namespace {

class CorrectBias : public pass::Pass {
 public:
  Status configure(const pass::Options& options) override {
    THIMBLE_ASSIGN(only_, pass::Selector::only(options));
    return ok();
  }

  bool needs_calibration() const override { return true; }

  Status run(ir::Model& model, pass::Context& context, pass::Report& report) override {
    pass::PassReport& here = report.current();
    const std::vector<Compensated> targets = find_compensated(model, context, only_, here);
    if (targets.empty()) return ok();
    std::map<std::uint32_t, ir::WeightId> biases;  // by the product's weight
    std::map<std::uint32_t, bool> is_new;
    for (const Compensated& target : targets) {
      const std::size_t before = model.weights.size();
      biases[target.use.weight.index] = bias_of(model, target.linear);
      is_new[target.use.weight.index] = model.weights.size() > before;
    }
    THIMBLE_TRY(ir::infer_shapes(model));
    if (context.dry_run) return ok();
    return visit_blocks(
        model, context, here, targets, false,
        [&](const Compensated& target, const calibrate::InputStatistics& statistics) -> Status {
          ir::Weight& bias = model.weight(biases.at(target.use.weight.index));
          THIMBLE_ASSIGN(const Errors errors, errors_of(model, context, target));
          THIMBLE_ASSIGN(std::vector<float> values, ir::read_floats(bias));
          const double largest = correct(errors.errors, statistics, values);
          set_values(bias, values);
          pass::TensorDecision decision =
              decision_on(bias, std::string(is_new.at(target.use.weight.index) ? "new" : "was") +
                                    ", moved by up to " + std::to_string(largest) + " for '" +
                                    model.weight(target.use.weight).name + "'");
          here.decisions.push_back(std::move(decision));
          here.changes += 1;
          return ok();
        });
  }

 private:
  // Adds (W - Q(W)) E[x]; the largest change.
  static double correct(std::span<const float> errors, const calibrate::InputStatistics& statistics,
                        std::vector<float>& bias) {
    const auto inputs = static_cast<std::size_t>(statistics.width);
    double largest = 0;
    for (std::size_t n = 0; n < bias.size(); ++n) {
      double shift = 0;
      for (std::size_t k = 0; k < inputs; ++k) shift += errors[n * inputs + k] * statistics.sum[k];
      shift /= static_cast<double>(std::max<std::int64_t>(1, statistics.tokens));
      bias[n] = static_cast<float>(bias[n] + shift);
      largest = std::max(largest, std::fabs(shift));
    }
    return largest;
  }

  pass::Selector only_;
};

}  // namespace

pass::Registration correct_bias() {
  return {{.name = "correct-bias",
           .summary = "Take the mean error of quantized products out of their biases",
           .kind = pass::Kind::kLossy,
           .options = {only_option()}},
          [] { return std::unique_ptr<pass::Pass>(new CorrectBias); }};
}

}  // namespace thimble::passes

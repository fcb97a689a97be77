// correct-bias: takes the mean of what encoding did to a product's outputs out of its bias,
// b + (W - Q(W)) E[x], with E[x] from the calibration (Nagel et al. 2019, arXiv 1906.04721, section
// 4.2). Layer by layer, so later layers see the corrected ones. A product without a bias gets one.

#include <algorithm>
#include <cmath>
#include <map>

#include "passes/quantize/compensation.h"
#include "passes/quantize/findings.h"
#include "passes/quantize/rewritten.h"
#include "passes/registrations.h"

namespace thimble::passes {
namespace {

class CorrectBias : public CorrectionPass {
 public:
  CorrectBias() : CorrectionPass(calibrate::Products::kNone) {}

 protected:
  Status prepare(ir::Model& model, pass::PassReport&, std::vector<Compensated>& targets) override {
    biases_.clear();
    for (const Compensated& target : targets) {
      const std::size_t before = model.weights.size();
      const ir::WeightId bias = bias_of(model, target.linear);
      biases_[target.use.weight.index] = {bias, model.weights.size() > before};
    }
    return ir::infer_shapes(model);
  }

  Status correct(ir::Model& model, pass::Context& context, pass::Report& report,
                 const Compensated& target, const calibrate::InputStatistics& statistics) override {
    const Bias& of_product = biases_.at(target.use.weight.index);
    ir::Weight& bias = model.weight(of_product.weight);
    THIMBLE_ASSIGN(const Errors errors, errors_of(model, context, target));
    THIMBLE_ASSIGN(std::vector<float> values, ir::read_floats(bias));
    const double largest = add_mean_error(errors.errors, statistics, values);
    set_values(bias, values);
    report.current().decisions.push_back(decision_on(
        bias, std::string(of_product.is_new ? "new" : "was") + ", moved by up to " +
                  std::to_string(largest) + " for '" + model.weight(target.use.weight).name + "'"));
    report.current().changes += 1;
    return ok();
  }

 private:
  struct Bias {
    ir::WeightId weight;
    bool is_new = false;
  };

  // Adds (W - Q(W)) E[x]; the largest change.
  static double add_mean_error(std::span<const float> errors,
                               const calibrate::InputStatistics& statistics,
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

  std::map<std::uint32_t, Bias> biases_;  // by the product's weight
};

}  // namespace

pass::Registration correct_bias() {
  return correction<CorrectBias>("correct-bias",
                                 "Take the mean error of quantized products out of their biases");
}

}  // namespace thimble::passes

// smooth: moves outliers of activations into the weights, so that both take codes well
// (SmoothQuant, Xiao et al. 2022, arXiv 2211.10438, equation 4): input channel j of a product is
// divided by max|x_j|^alpha / max|w_j|^(1 - alpha), its weights multiplied. What the operator
// before makes is divided in its own weights, so the model computes what it did.

#include <algorithm>
#include <cmath>

#include "calibrate/calibration.h"
#include "calibrate/observe.h"
#include "passes/quantize/findings.h"
#include "passes/quantize/scaling.h"
#include "passes/quantize/settings.h"
#include "passes/registrations.h"
#include "support/math.h"

namespace thimble::passes {
namespace {

constexpr double kLeast = 1e-5, kMost = 1e5;  // of a factor

class Smooth : public pass::Pass {
 public:
  Status configure(const pass::Options& options) override {
    alpha_ = options.real("alpha");
    THIMBLE_ASSIGN(only_, pass::Selector::only(options));
    return ok();
  }

  bool needs_calibration() const override { return true; }

  Status run(ir::Model& model, pass::Context& context, pass::Report& report) override {
    const std::vector<ScalingSite> sites = choose(model, report.current());
    if (sites.empty()) {
      report.current().findings.push_back(no_effect("no product's inputs were scaled"));
      return ok();
    }
    calibrate::Statistics statistics;
    if (!context.dry_run) {
      std::vector<ir::ValueId> inputs;
      for (const ScalingSite& site : sites) inputs.push_back(site.input);
      THIMBLE_ASSIGN(statistics, calibrate::observe_model(model, context.calibration->samples(),
                                                          inputs, context.pool));
    }
    // Every factor comes from the model as it was: a product may be scaled at one site and absorb
    // at another.
    std::vector<std::vector<float>> factors;
    for (const ScalingSite& site : sites) {
      std::vector<float> found(static_cast<std::size_t>(site.factors), 1.0f);
      if (const auto seen = statistics.find(site.input); seen != statistics.end()) {
        THIMBLE_ASSIGN(found, factors_of(model, site, seen->second, report.current()));
      }
      factors.push_back(std::move(found));
    }
    for (std::size_t i = 0; i < sites.size(); ++i) {
      scale_site(model, sites[i], factors[i]);
      decide(model, sites[i], factors[i], report.current());
    }
    return ok();
  }

 private:
  std::vector<ScalingSite> choose(const ir::Model& model, pass::PassReport& report) const {
    const int layers = ir::layer_count(ir::quantizable_weights(model));
    std::vector<ScalingSite> chosen;
    for (ScalingSite& site : find_scaling_sites(model)) {
      const bool wanted =
          std::any_of(site.products.begin(), site.products.end(),
                      [&](const ir::WeightUse& use) { return only_.matches(model, use, layers); });
      if (!wanted) continue;
      if (site.obstacle.empty()) {
        chosen.push_back(std::move(site));
      } else {
        report_obstacle(model, site, report);
      }
    }
    return chosen;
  }

  Expected<std::vector<float>> factors_of(const ir::Model& model, const ScalingSite& site,
                                          const calibrate::InputStatistics& seen,
                                          pass::PassReport& report) const {
    THIMBLE_ASSIGN(const std::vector<float> weights, largest_weights(model, site));
    std::vector<float> inputs(weights.size());
    for (std::size_t c = 0; c < site.factor_of.size(); ++c) {
      float& largest = inputs[static_cast<std::size_t>(site.factor_of[c])];
      const float size = std::max(std::fabs(seen.low[c]), std::fabs(seen.high[c]));
      if (!std::isfinite(size) || !std::isfinite(seen.absolute[c])) {  // extremes pass over NaN
        return unsupported("an activation is not finite in the calibration")
            .at_tensor(model.graph.value(site.input).name)
            .fix("look for overflow in the float model on this calibration text");
      }
      largest = std::max(largest, size);
    }
    std::vector<float> factors;
    std::size_t dead = 0;
    for (std::size_t i = 0; i < weights.size(); ++i) {
      const double x = inputs[i], w = weights[i];
      dead += x == 0 || w == 0;
      const double factor = x == 0 || w == 0 ? 1 : math::pow(x, alpha_) / math::pow(w, 1 - alpha_);
      factors.push_back(static_cast<float>(std::clamp(factor, kLeast, kMost)));
    }
    if (dead > 0) {
      report.findings.push_back({pass::FindingKind::kDeadChannel,
                                 model.graph.value(site.input).name, dead,
                                 std::to_string(dead) + " channels are dead (inputs or weights "
                                                        "all 0); theirs keep scale 1",
                                 ""});
    }
    return factors;
  }

  void decide(const ir::Model& model, const ScalingSite& site, std::span<const float> factors,
              pass::PassReport& report) const {
    const auto [least, most] = std::minmax_element(factors.begin(), factors.end());
    for (const ir::WeightUse& use : site.products) {
      report.decisions.push_back(decision_on(
          model.weight(use.weight), "inputs divided by " + std::to_string(*least) + " to " +
                                        std::to_string(*most) + " in " + site.absorbed_by));
      report.changes += 1;
    }
  }

  double alpha_ = 0.5;
  pass::Selector only_;
};

}  // namespace

pass::Registration smooth() {
  return {{.name = "smooth",
           .summary = "Move outliers of activations into weights, folded into the operator before",
           .kind = pass::Kind::kRewrite,
           .options = {{.name = "alpha",
                        .type = pass::OptionType::kReal,
                        .fallback = "0.5",
                        .help = "how much of the activations' range moves: 0 none, 1 all",
                        .minimum = 0,
                        .maximum = 1},
                       only_option()}},
          [] { return std::unique_ptr<pass::Pass>(new Smooth); }};
}

}  // namespace thimble::passes

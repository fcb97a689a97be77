// quantize-weights: round-to-nearest with a scale per tensor, channel or group, its scales from the
// extremes or from a search for the least squared error. Weights are shared, so a tied embedding is
// decided on once.

#include "calibrate/calibration.h"
#include "calibrate/energies.h"
#include "ir/match.h"
#include "passes/quantize/findings.h"
#include "passes/quantize/settings.h"
#include "passes/registrations.h"
#include "quant/quantize.h"

namespace thimble::passes {
namespace {

// The pass before this one in the recipe that wrote the weight in codes; empty: none.
std::string written_by(const pass::Report& report, const ir::Weight& weight) {
  if (weight.encoding.is_dense()) return {};
  const std::string scheme = weight.encoding.to_string();
  for (std::size_t p = 0; p + 1 < report.passes.size(); ++p) {
    for (const pass::TensorDecision& decision : report.passes[p].decisions) {
      if (decision.tensor == weight.name && decision.scheme == scheme && !decision.kept)
        return report.passes[p].pass;
    }
  }
  return {};
}

// What an error in each input costs, by the weights' names.
using Importance = calibrate::Calibration::Importance;

// The energies of a weight's inputs relative to the largest. Empty: all the same.
std::vector<float> importance_of(const ir::Weight& weight, const Importance& importance) {
  const auto found = importance.find(weight.name);
  if (found == importance.end()) return {};
  return quant::relative_importance(found->second);
}

class QuantizeWeights : public pass::Pass {
 public:
  Status configure(const pass::Options& options) override {
    requantize_ = options.boolean("requantize");
    importance_ = options.boolean("importance");
    return rules_.configure(options);
  }

  bool needs_calibration() const override { return importance_; }
  bool leaves_open() const override { return rules_.open(); }

  Status run(ir::Model& model, pass::Context& context, pass::Report& report) override {
    const std::vector<ir::WeightUse> uses =
        rules_.open() ? ir::quantizable_weights(model) : ir::quantizable_weights_everywhere(model);
    THIMBLE_ASSIGN(const Importance importance, observe(model, uses, context));
    rules_.begin(uses);
    ActivationWishes activations;
    bool weighed = false;  // an error by its importance
    for (const ir::WeightUse& use : uses) {
      std::optional<Choice> choice = rules_.choose(model, use);
      if (!choice) continue;
      ir::Weight& weight = model.weight(use.weight);
      const std::string writer = written_by(report, weight);
      if (!writer.empty() && !requantize_) continue;  // that pass has said what there is to say
      if (choice->skip) {
        report.current().decisions.push_back(kept(weight, "skipped by " + choice->why));
        continue;
      }
      THIMBLE_TRY(rules_.settle(model, use, requantize_ ? Taker::kRoundsAgain : Taker::kRounds,
                                context, *choice));
      if (choice->as_it_is) {
        report.current().decisions.push_back(kept(weight, choice->why));
        continue;
      }
      activations.add(model, use, choice->settings.activation);
      if (stays_on_its_grid(weight, choice->settings)) {
        report.current().decisions.push_back(kept(weight, "kept on its own grid"));
        continue;
      }
      remember_original(context, model, use.weight);
      find_unimportant(model, use, *choice, importance, context, report.current());
      weighed |= choice->settings.search == quant::Search::kMse ||
                 choice->settings.codes == Codes::kFitted;
      THIMBLE_TRY(quantize(model, use, *choice, importance, context.dry_run));
      find_other_shape(weight, choice->settings, weight.encoding, choice->why, report.current());
      report.current().decisions.push_back(decision_on(weight, choice->why));
      report.current().changes += 1;
    }
    activations.apply(model);
    if (importance_ && !weighed && report.current().changes > 0) {
      report.current().findings.push_back(
          no_effect("`importance` changes nothing: `search: absmax` weighs no errors"));
    }
    find_idle(uses.empty(), report.current());
    return ok();
  }

 private:
  // From an importance matrix, or from what goes into each product of the model as it is before
  // this pass; empty where no weight counts more than another.
  Expected<Importance> observe(const ir::Model& model, const std::vector<ir::WeightUse>& uses,
                               pass::Context& context) const {
    Importance importance;
    if (!importance_ || context.dry_run) return importance;
    if (!context.calibration->importance().empty()) return context.calibration->importance();
    THIMBLE_ASSIGN(
        calibrate::Energies energies,
        calibrate::observe_energies(model, uses, context.calibration->samples(), context.pool));
    for (auto& [weight, energy] : energies)
      importance.emplace(model.weight(weight).name, std::move(energy.sums));
    return importance;
  }

  // Names what has no importance, or too little of it, though it was asked for.
  void find_unimportant(const ir::Model& model, const ir::WeightUse& use, const Choice& choice,
                        const Importance& importance, pass::Context& context,
                        pass::PassReport& report) const {
    const bool multiplied = !use.body.valid() && !use.convolved && !use.recurrent &&
                            (!use.gathered || use.nodes.size() > 1);
    if (!importance_ || context.dry_run || !multiplied) return;
    const std::string& name = model.weight(use.weight).name;
    const auto found = importance.find(name);
    if (found == importance.end()) {
      report.findings.push_back({pass::FindingKind::kNoImportance, name, 0,
                                 "its importance is not known; all its inputs count the same",
                                 choice.why});
      return;
    }
    const auto dead = std::count(found->second.begin(), found->second.end(), 0.0);
    if (dead == 0) return;
    report.findings.push_back({pass::FindingKind::kDeadChannel, name,
                               static_cast<std::uint64_t>(dead),
                               std::to_string(dead) + " inputs were 0 in all of the calibration; "
                                                      "their errors count for nothing",
                               choice.why});
  }

  // A weight that comes quantized lies on its grid exactly: rounding it again at as many bits only
  // loses.
  bool stays_on_its_grid(const ir::Weight& weight, const Settings& settings) const {
    return !weight.encoding.is_dense() && settings.bits >= weight.encoding.bits && !requantize_;
  }

  static Status quantize(ir::Model& model, const ir::WeightUse& use, const Choice& choice,
                         const Importance& importance, bool dry_run) {
    ir::Weight& weight = model.weight(use.weight);
    quant::SearchOptions search;
    search.search = choice.settings.search;
    search.importance = importance_of(weight, importance);
    THIMBLE_ASSIGN(const ir::Encoding encoding,
                   choice.encoding(weight, use.axis, dry_run, search.importance));
    if (weight.source != nullptr) {  // none in a graph that was parsed from text
      THIMBLE_ASSIGN(weight.source, quant::quantized_source(weight, encoding, search));
    }
    ir::set_encoding(model, use, encoding);
    return ok();
  }

  void find_idle(bool no_weights, pass::PassReport& report) const {
    if (no_weights || report.changes == 0) {
      report.findings.push_back(
          no_effect(no_weights ? "the model has no weights that a product or a Gather reads"
                               : "no weight was quantized"));
    }
    rules_.find_unused(report);
  }

  Rules rules_;
  bool requantize_ = false;
  bool importance_ = false;
};

std::vector<pass::OptionInfo> option_infos() {
  std::vector<pass::OptionInfo> own = {
      {.name = "requantize",
       .type = pass::OptionType::kBool,
       .fallback = "false",
       .help = "round weights again that come quantized in as few bits"},
      {.name = "importance",
       .type = pass::OptionType::kBool,
       .fallback = "false",
       .help = "search: mse weighs an input's error by its energy in the calibration"},
  };
  return settled_options(group_size_or_tensor_option(), std::move(own));
}

}  // namespace

pass::Registration quantize_weights() {
  return {{.name = "quantize-weights",
           .summary = "Write weights of products and embeddings in 2 to 8 bits",
           .kind = pass::Kind::kLossy,
           .options = option_infos()},
          [] { return std::unique_ptr<pass::Pass>(new QuantizeWeights); }};
}

}  // namespace thimble::passes

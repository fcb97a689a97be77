// hqq: codes with minima that suit most weights and let outliers err, found without data
// (half-quadratic quantization, Badri and Shaji 2023). Rows are computed on each use, as those of
// quantize-weights are.

#include "quant/hqq.h"

#include "passes/quantize/findings.h"
#include "passes/quantize/settings.h"
#include "passes/registrations.h"

namespace thimble::passes {
namespace {

class Hqq : public pass::Pass {
 public:
  Status configure(const pass::Options& options) override {
    hqq_.norm = options.real("norm");
    hqq_.beta = options.real("beta");
    hqq_.growth = options.real("growth");
    hqq_.iterations = static_cast<int>(options.integer("iterations"));
    return rules_.configure(options);
  }

  Status run(ir::Model& model, pass::Context& context, pass::Report& report) override {
    const std::vector<ir::WeightUse> uses = ir::quantizable_weights_everywhere(model);
    rules_.begin(uses);
    ActivationWishes activations;
    for (const ir::WeightUse& use : uses) {
      const std::optional<Choice> choice = rules_.choose(model, use);
      if (!choice) continue;
      ir::Weight& weight = model.weight(use.weight);
      if (choice->skip || !weight.encoding.is_dense()) {
        report.current().decisions.push_back(
            kept(weight, choice->skip ? "skipped by " + choice->why : "quantized already"));
        continue;
      }
      remember_original(context, model, use.weight);
      THIMBLE_TRY(quantize(model, use, choice->settings));
      find_other_shape(weight, choice->settings, weight.encoding, choice->why, report.current());
      activations.add(model, use, choice->settings.activation);
      report.current().decisions.push_back(decision_on(weight, choice->why));
      report.current().changes += 1;
    }
    activations.apply(model);
    if (report.current().changes == 0)
      report.current().findings.push_back(no_effect("no weight was quantized"));
    rules_.find_unused(report.current());
    return ok();
  }

 private:
  Status quantize(ir::Model& model, const ir::WeightUse& use, const Settings& settings) const {
    ir::Weight& weight = model.weight(use.weight);
    ir::Encoding encoding = settings.encoding(weight, use.axis);
    encoding.zero = ir::ZeroKind::kMinima;
    encoding.constant_zero = 0;
    if (weight.source != nullptr) {  // none in a graph that was parsed from text
      const auto rows_of = [encoding, options = hqq_](const quant::WeightMatrix& weights,
                                                      ir::Rows& out) {
        ThreadPool here(1);
        return quant::hqq(weights, encoding, options, out, here);
      };
      THIMBLE_ASSIGN(weight.source, quant::quantized_source(weight, encoding, rows_of));
    }
    ir::set_encoding(model, use, encoding);
    return ok();
  }

  Rules rules_;
  quant::HqqOptions hqq_;
};

std::vector<pass::OptionInfo> option_infos() {
  using pass::OptionType;
  return {
      bits_option(),
      group_size_option(),
      scale_option(),
      activations_option(),
      {.name = "norm",
       .type = OptionType::kReal,
       .fallback = "0.7",
       .help = "exponent of the errors' size that is made small; less lets outliers err more",
       .minimum = 0.01,
       .maximum = 0.99},
      {.name = "beta",
       .type = OptionType::kReal,
       .fallback = "10",
       .help = "weight of the quadratic term at first",
       .minimum = 1e-3,
       .maximum = 1e6},
      {.name = "growth",
       .type = OptionType::kReal,
       .fallback = "1.01",
       .help = "of beta in each iteration",
       .minimum = 1,
       .maximum = 10},
      {.name = "iterations",
       .type = OptionType::kInteger,
       .fallback = "20",
       .help = "at most",
       .minimum = 1,
       .maximum = 1000},
      only_option(),
      rules_option(),
  };
}

}  // namespace

pass::Registration hqq() {
  return {
      {.name = "hqq",
       .summary = "Write weights in 2 to 8 bits with minima that suit most of them, without data",
       .kind = pass::Kind::kLossy,
       .options = option_infos()},
      [] { return std::unique_ptr<pass::Pass>(new Hqq); }};
}

}  // namespace thimble::passes

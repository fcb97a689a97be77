// correct-scales: refits the scales of quantized weights to their codes, by least squares in the
// products' outputs over the calibration, in closed form. Layer by layer, so later layers see the
// corrected ones.

#include "calibrate/calibration.h"
#include "passes/quantize/compensation.h"
#include "passes/quantize/findings.h"
#include "passes/registrations.h"
#include "quant/decode.h"
#include "quant/error_metrics.h"
#include "quant/hessian.h"
#include "quant/scale_fit.h"

namespace thimble::passes {
namespace {

class CorrectScales : public CorrectionPass {
 public:
  CorrectScales() : CorrectionPass(calibrate::Products::kGram) {}

 protected:
  Status prepare(ir::Model& model, pass::PassReport& report,
                 std::vector<Compensated>& targets) override {
    std::erase_if(targets, [&](const Compensated& target) {
      const ir::Weight& weight = model.weight(target.use.weight);
      if (weight.encoding.kind == ir::EncodingKind::kAffine) return false;
      report.decisions.push_back(kept(weight, "kept: its codes aren't affine"));
      return true;
    });
    return ok();
  }

  Status correct(ir::Model& model, pass::Context& context, pass::Report& report,
                 const Compensated& target, const calibrate::InputStatistics& statistics) override {
    ir::Weight& weight = model.weight(target.use.weight);
    const calibrate::Journal* journal = context.calibration->journal();
    const std::string key = report.step_key();
    std::optional<calibrate::Finished> known;
    if (journal != nullptr) known = journal->find(key, weight);
    if (!known || known->figures.size() != 4) {
      known.emplace();
      THIMBLE_TRY(fit(model, context, target, statistics, journal, key, *known));
    }
    weight.source = known->source;
    pass::TensorDecision decision = decision_on(weight, "scales refitted");
    decision.error = known->figures[0];
    if (known->figures[3] > 0) {
      decision.rounding_output_error = known->figures[1] / known->figures[3];
      decision.output_error = known->figures[2] / known->figures[3];
    }
    report.current().decisions.push_back(std::move(decision));
    report.current().changes += 1;
    return ok();
  }

 private:
  // Figures: the weights' relative error, the outputs' before and after, and their energy.
  static Status fit(const ir::Model& model, pass::Context& context, const Compensated& target,
                    const calibrate::InputStatistics& statistics, const calibrate::Journal* journal,
                    const std::string& key, calibrate::Finished& out) {
    const ir::Weight& weight = model.weight(target.use.weight);
    const std::int64_t rows = target.linear.rows, inputs = target.linear.inputs;
    THIMBLE_ASSIGN(const Errors errors, errors_of(model, context, target));
    THIMBLE_ASSIGN(const ir::Rows streams, weight.source->read(0, weight.rows()));
    auto fitted = quant::fit_scales({errors.original, rows, inputs}, streams, weight.encoding,
                                    statistics.gram, context.pool);
    if (!fitted) return std::move(fitted).error().at_tensor(weight.name);
    THIMBLE_ASSIGN(const quant::Hessian hessian, quant::Hessian::make(statistics.gram, inputs));
    const double signal = hessian.error(errors.original, rows, context.pool);
    THIMBLE_ASSIGN(const double relative,
                   relative_error(errors.original, fitted->rows, weight.encoding, inputs));
    out.figures = {relative, fitted->error_before, fitted->error, signal};
    if (journal == nullptr) {
      out.source = ir::owned_rows(weight, std::move(fitted->rows));
      return ok();
    }
    THIMBLE_ASSIGN(out, journal->add(key, weight, fitted->rows, out.figures));
    return ok();
  }

  static Expected<double> relative_error(std::span<const float> weights, const ir::Rows& rows,
                                         const ir::Encoding& encoding, std::int64_t inputs) {
    std::vector<float> decoded(weights.size());
    THIMBLE_TRY(quant::decode_rows(encoding, rows, rows.count, inputs, decoded.data()));
    quant::ErrorMetrics metrics;
    metrics.add(weights, decoded);
    return metrics.relative_squared();
  }
};

}  // namespace

pass::Registration correct_scales() {
  return correction<CorrectScales>("correct-scales",
                                   "Refit the scales of quantized products to their codes");
}

}  // namespace thimble::passes

#include "passes/quantize/gptq_inputs.h"

#include "calibrate/calibration.h"

namespace thimble::passes {

Expected<GptqInputs> GptqInputs::create(const ir::Model& model, pass::Context& context,
                                        bool drift) {
  const std::span<const calibrate::Sample> samples = context.calibration->samples();
  THIMBLE_ASSIGN(calibrate::Walk walk, calibrate::Walk::create(model, samples, context.pool));
  GptqInputs inputs(std::move(walk));
  if (!drift) return inputs;
  inputs.original_ = std::make_unique<const ir::Model>(model);
  THIMBLE_ASSIGN(inputs.before_, calibrate::Walk::create(*inputs.original_, samples, context.pool));
  return inputs;
}

std::uint64_t GptqInputs::bytes_of(std::int64_t width) const {
  return calibrate::statistics_bytes(
      width, before_ ? calibrate::Products::kGramAndDrift : calibrate::Products::kGram);
}

Expected<std::vector<calibrate::GroupStatistics>> GptqInputs::observe(
    std::span<const calibrate::Input> inputs, bool last) {
  if (!before_) return calibrate::observe_inputs(walk_, inputs, {});
  return calibrate::observe_drift(walk_, *before_, inputs, {}, {.move = last});
}

Status GptqInputs::move() {
  const bool behind = before_ && before_->position() == walk_.position();
  THIMBLE_TRY(walk_.run({}, {}, {.move = true}));
  return behind ? before_->run({}, {}, {.move = true}) : ok();
}

}  // namespace thimble::passes

#include "tools/thimble/calibration.h"

#include "data/text.h"
#include "support/hash.h"
#include "tools/thimble/samples.h"

namespace thimble::cli {

Expected<std::optional<CalibrationInput>> find_calibration(const recipe::Recipe& recipe,
                                                           const pass::ManagerOptions& manager) {
  const pass::Step* step = pass::first_calibrated(recipe.passes, manager);
  if (step == nullptr) return std::optional<CalibrationInput>();
  CalibrationInput input;
  if (!recipe.calibration.data.empty()) {
    input.data = recipe.calibration.data;
    THIMBLE_ASSIGN(input.digest, recipe::digest_of(input.data));
    return std::optional(std::move(input));
  }
  const std::string& path = recipe.calibration.text;
  if (path.empty()) {
    return Error(ErrorCode::kInvalidRecipe, "the pass '" + step->registration->info.name +
                                                "' calibrates, and the recipe has no data for it")
        .in(recipe.name)
        .fix(
            "add `calibrate: {text: FILE}` to the recipe (or npz, idx, images, wav; see "
            "docs/RECIPES.md), or "
            "give --calibrate FILE: a text, a .npz or a .wav");
  }
  THIMBLE_ASSIGN(input.text, data::read_text(path));
  input.digest = digest_of(input.text).hex();
  input.tokens = recipe.calibration.tokens;
  return std::optional(std::move(input));
}

Expected<std::unique_ptr<calibrate::Calibration>> make_calibration(const ir::Model& model,
                                                                   const recipe::Recipe& recipe,
                                                                   const CalibrationInput& input,
                                                                   ThreadPool& pool) {
  if (!input.data.empty()) {
    THIMBLE_ASSIGN(const auto states, eval::parse_states(input.data.states));
    const auto inputs = eval::without_states(calibrate::input_specs(model), states);
    THIMBLE_ASSIGN(const auto source, open_samples(input.data, inputs));
    THIMBLE_ASSIGN(
        calibrate::Calibration made,
        calibrate::Calibration::from_data(model, *source, input.data.samples, states, pool));
    return std::make_unique<calibrate::Calibration>(std::move(made));
  }
  THIMBLE_ASSIGN(calibrate::Calibration made,
                 calibrate::Calibration::from_text(
                     model, input.text, {recipe.calibration.tokens, recipe.calibration.context}));
  return std::make_unique<calibrate::Calibration>(std::move(made));
}

}  // namespace thimble::cli

#include "tools/thimble/calibration.h"

#include "data/text.h"
#include "formats/importance.h"
#include "support/hash.h"
#include "support/mapped_file.h"
#include "tools/thimble/samples.h"

namespace thimble::cli {

Expected<std::optional<CalibrationInput>> find_calibration(const recipe::Recipe& recipe,
                                                           const pass::ManagerOptions& manager) {
  const pass::Step* step = pass::first_calibrated(recipe.passes, manager);
  CalibrationInput input;
  input.imatrix = recipe.calibration.imatrix;
  if (step == nullptr) {
    if (input.imatrix.empty()) return std::optional<CalibrationInput>();
    return Error(ErrorCode::kInvalidRecipe, "no pass of the recipe reads the importance matrix")
        .in(recipe.name)
        .fix("set `importance: true` for quantize-weights, or leave it out");
  }
  std::string imatrix_digest;
  if (!input.imatrix.empty()) {
    THIMBLE_ASSIGN(const auto file, MappedFile::open(input.imatrix));
    imatrix_digest = digest_of(file->bytes()).hex();
  }
  if (!recipe.calibration.data.empty()) {
    input.data = recipe.calibration.data;
    THIMBLE_ASSIGN(input.digest, recipe::digest_of(input.data));
    input.digest += imatrix_digest;
    return std::optional(std::move(input));
  }
  const std::string& path = recipe.calibration.text;
  if (path.empty() && !input.imatrix.empty()) {
    input.digest = imatrix_digest;
    return std::optional(std::move(input));
  }
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
  input.digest = digest_of(input.text).hex() + imatrix_digest;
  input.tokens = recipe.calibration.tokens;
  return std::optional(std::move(input));
}

namespace {

Expected<calibrate::Calibration> make_samples(const ir::Model& model, const recipe::Recipe& recipe,
                                              const CalibrationInput& input, ThreadPool& pool) {
  if (!input.data.empty()) {
    THIMBLE_ASSIGN(const auto states, eval::parse_states(input.data.states));
    const auto inputs = eval::without_states(calibrate::input_specs(model), states);
    THIMBLE_ASSIGN(const auto source, open_samples(input.data, inputs));
    return calibrate::Calibration::from_data(model, *source, input.data.samples, states, pool);
  }
  if (input.tokens == 0) return calibrate::Calibration(std::vector<calibrate::Sample>());
  return calibrate::Calibration::from_text(model, input.text,
                                           {recipe.calibration.tokens, recipe.calibration.context});
}

}  // namespace

Expected<std::unique_ptr<calibrate::Calibration>> make_calibration(const ir::Model& model,
                                                                   const recipe::Recipe& recipe,
                                                                   const CalibrationInput& input,
                                                                   ThreadPool& pool) {
  THIMBLE_ASSIGN(calibrate::Calibration made, make_samples(model, recipe, input, pool));
  if (!input.imatrix.empty()) {
    THIMBLE_ASSIGN(const formats::ImportanceMatrix matrix, formats::read_importance(input.imatrix));
    auto importance = formats::importance_for(matrix, model);
    if (!importance) return std::move(importance).error().in(input.imatrix);
    made.set_importance(*std::move(importance));
  }
  return std::make_unique<calibrate::Calibration>(std::move(made));
}

}  // namespace thimble::cli

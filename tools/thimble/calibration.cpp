#include "tools/thimble/calibration.h"

#include "calibrate/teacher.h"
#include "data/text.h"
#include "formats/importance.h"
#include "support/hash.h"
#include "support/mapped_file.h"
#include "tools/thimble/samples.h"

namespace thimble::cli {

namespace {

// The text, conversations or nothing yet that the source names. An empty digest: none of them.
Status find_text(const recipe::CalibrationSource& source, CalibrationInput& input) {
  input.teacher = source.teacher;
  const std::string& path = source.chat.empty() ? source.text : source.chat;
  if (source.teacher) {
    input.digest = "teacher";
  } else if (!path.empty()) {
    THIMBLE_ASSIGN(input.text, data::read_text(path));
    input.digest = digest_of(input.text).hex();
    if (!source.chat.empty()) {
      THIMBLE_ASSIGN(input.chats, data::parse_chats(input.text, path));
      input.text.clear();
      input.digest = "chat " + input.digest;
    }
  }
  if (!input.digest.empty()) input.tokens = source.tokens;
  return ok();
}

}  // namespace

Expected<std::optional<CalibrationInput>> find_calibration(const recipe::Recipe& recipe,
                                                           const pass::ManagerOptions& manager) {
  const std::vector<pass::Step> steps = pass::wanted_steps(recipe.passes, manager);
  const pass::Step* step = pass::first_calibrated(steps);
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
  THIMBLE_TRY(find_text(recipe.calibration, input));
  if (input.digest.empty() && input.imatrix.empty()) {
    return Error(ErrorCode::kInvalidRecipe, "the pass '" + step->registration->info.name +
                                                "' calibrates, and the recipe has no data for it")
        .in(recipe.name)
        .fix(
            "add `calibrate: {text: FILE}` to the recipe (or chat, npz, idx, images, wav; see "
            "docs/RECIPES.md), or give --calibrate FILE: a text, a .jsonl, a .npz or a .wav; "
            "--calibrate teacher lets a language model write its own");
  }
  input.digest += imatrix_digest;
  return std::optional(std::move(input));
}

namespace {

Expected<calibrate::Calibration> make_samples(const ir::Model& model, const recipe::Recipe& recipe,
                                              const CalibrationInput& input,
                                              const calibrate::Journal* journal,
                                              Environment& environment) {
  if (!input.data.empty())
    return samples_of_data(model, input.data, input.data.samples, environment.pool);
  if (input.tokens == 0) return calibrate::Calibration(std::vector<calibrate::Sample>());
  const recipe::CalibrationSource& source = recipe.calibration;
  const calibrate::TextOptions options{source.tokens, source.context, source.stride};
  if (input.teacher) {
    THIMBLE_ASSIGN(const auto windows,
                   calibrate::write_windows(model, options, recipe.seed, "teacher", journal,
                                            environment.pool, environment.progress));
    return calibrate::Calibration::from_windows(model, windows);
  }
  auto made = input.chats.empty() ? calibrate::Calibration::from_text(model, input.text, options)
                                  : calibrate::Calibration::from_chats(model, input.chats, options);
  if (!made) return std::move(made).error().in(source.chat.empty() ? source.text : source.chat);
  return made;
}

}  // namespace

Expected<calibrate::Calibration> samples_of_data(const ir::Model& model, const recipe::DataSet& set,
                                                 std::int64_t count, ThreadPool& pool) {
  THIMBLE_ASSIGN(const auto states, eval::parse_states(set.states));
  const auto inputs = eval::without_states(calibrate::input_specs(model), states);
  THIMBLE_ASSIGN(const auto source, open_samples(set, inputs));
  return calibrate::Calibration::from_data(model, *source, count, states, pool);
}

Expected<std::unique_ptr<calibrate::Calibration>> make_calibration(
    const ir::Model& model, const recipe::Recipe& recipe, const CalibrationInput& input,
    const calibrate::Journal* journal, Environment& environment) {
  THIMBLE_ASSIGN(calibrate::Calibration made,
                 make_samples(model, recipe, input, journal, environment));
  if (!input.imatrix.empty()) {
    THIMBLE_ASSIGN(const formats::ImportanceMatrix matrix, formats::read_importance(input.imatrix));
    auto importance = formats::importance_for(matrix, model);
    if (!importance) return std::move(importance).error().in(input.imatrix);
    made.set_importance(*std::move(importance));
  }
  return std::make_unique<calibrate::Calibration>(std::move(made));
}

namespace {

// The version, and the digest of the program that runs, where the system shows it.
std::string this_program() {
  const auto file = MappedFile::open("/proc/self/exe");
  return THIMBLE_VERSION + (file ? " " + digest_of((*file)->bytes()).hex() : std::string());
}

}  // namespace

Expected<std::unique_ptr<calibrate::Journal>> open_journal(const std::string& folder,
                                                           const std::string& fingerprint,
                                                           calibrate::Journal::Use use,
                                                           Environment& environment) {
  THIMBLE_ASSIGN(auto journal, calibrate::Journal::open(folder, fingerprint, this_program(), use));
  if (!journal->dropped().empty()) {
    environment.progress.message("note: " + folder + " held results of " + journal->dropped() +
                                 ": they are dropped, and the work begins anew");
  }
  return journal;
}

}  // namespace thimble::cli

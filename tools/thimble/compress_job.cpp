#include "tools/thimble/compress_job.h"

#include "support/hash.h"
#include "tools/thimble/budget.h"
#include "tools/thimble/budget_work.h"
#include "tools/thimble/open.h"
#include "tools/thimble/preconditions.h"

namespace thimble::cli {
namespace {

// Of what the recipe scores on; empty where that is nothing.
Expected<std::string> digest_of_evaluation(const recipe::Evaluation& evaluation) {
  if (!evaluation.text.empty()) {
    THIMBLE_ASSIGN(const std::string content, data::read_text(evaluation.text));
    return digest_of(content).hex();
  }
  return evaluation.data.empty() ? std::string() : recipe::digest_of(evaluation.data);
}

// All that decides the output's bytes but the budget's own value.
Expected<std::string> fingerprint_of_measurements(const Job& job, const CompressChoices& choices) {
  const recipe::Recipe& recipe = job.recipe;
  THIMBLE_ASSIGN(const std::string scored, digest_of_evaluation(recipe.evaluation));
  Hasher hasher;
  hasher.update("thimble " THIMBLE_VERSION "\n" + job.prepared.source_digest + "\n" + recipe.text +
                "\n" + scored + "\n" + (job.calibration ? job.calibration->digest : ""));
  hasher.update("\n" + std::to_string(choices.windows.context) + " " +
                std::to_string(choices.windows.max_windows));
  if (recipe.budget.kind != pass::BudgetKind::kNone) {
    hasher.update("\nkind " + std::to_string(static_cast<int>(recipe.budget.kind)) + "\n" +
                  digest_of(job.tune).hex());
    if (!recipe.tune.data.empty()) {
      THIMBLE_ASSIGN(const std::string tuned, recipe::digest_of(recipe.tune.data));
      hasher.update(tuned);
    }
  }
  for (const std::string& setting : choices.recipe.set) hasher.update("\n" + setting);
  for (const std::string& variable : choices.recipe.variables) hasher.update("\n" + variable);
  for (const std::string& pass : choices.manager.disable) hasher.update("\nwithout " + pass);
  if (!choices.manager.stop_after.empty()) hasher.update("\nup to " + choices.manager.stop_after);
  const ir::Model& original = job.prepared.original;
  const auto dims = original.metadata.find(std::string(ir::kDimRangesKey));
  if (dims != original.metadata.end()) hasher.update("\nsizes " + dims->second);
  if (!is_thimble_target(job.target)) {
    hasher.update("\nas " + job.target.format + " " + job.target.type + " " +
                  (job.target.accuracy_level ? std::to_string(*job.target.accuracy_level) : "") +
                  (job.target.allow_dequantize ? " dequantized" : ""));
  }
  return hasher.finish().hex();
}

Expected<Cost> cost_of_job(const Job& job, int threads) {
  const ir::Model& model = job.prepared.original;
  Samples calibration;
  if (job.calibration) {
    THIMBLE_ASSIGN(calibration, calibration_samples(model, job.recipe));
  }
  BudgetWork budget;
  if (job.budgeted) {
    THIMBLE_ASSIGN(budget, budget_work(model, job.recipe));
  }
  return cost_of(model, calibration, budget, threads);
}

}  // namespace

Expected<Job> plan_job(const CompressChoices& choices, Environment& environment) {
  Job job;
  THIMBLE_ASSIGN(job.target, target_of(choices.output, "", choices.target));
  THIMBLE_ASSIGN(job.recipe, read_recipe(choices.recipe));
  THIMBLE_TRY(check_passes(job.recipe, choices.manager));
  // What the command line names goes before what the recipe says.
  recipe::name_file(choices.text, job.recipe.evaluation.text, job.recipe.evaluation.data);
  recipe::name_calibration(choices.calibrate, job.recipe.calibration);
  if (!choices.imatrix.empty()) job.recipe.calibration.imatrix = choices.imatrix;
  THIMBLE_ASSIGN(const std::string path, model_of(choices.model, job.recipe));
  if (is_thimble(path)) {
    return invalid_argument("a .thimble is a target and can't be compressed again")
        .in(path)
        .fix("compress the model that it was made from");
  }
  THIMBLE_TRY(check_output(choices.output, job.target, path));
  THIMBLE_ASSIGN(job.calibration, find_calibration(job.recipe, choices.manager));
  job.budgeted = has_budget(job.recipe, choices.manager);
  if (job.budgeted) THIMBLE_TRY(check_choice(job.recipe, choices.manager));
  THIMBLE_ASSIGN(job.prepared, read_original(path, environment));
  if (job.budgeted) {
    THIMBLE_ASSIGN(job.tune, tune_text(job.recipe, job.prepared.original));
  }
  THIMBLE_TRY(check_sha256(job.prepared.original, job.recipe, environment));
  THIMBLE_TRY(check_target(job.prepared, job.recipe, choices.manager, job.target, job.budgeted,
                           environment));
  THIMBLE_TRY(check_evaluation(job.prepared, request_of(job.recipe.evaluation, choices.windows)));
  THIMBLE_ASSIGN(const Cost cost, cost_of_job(job, environment.pool.threads()));
  THIMBLE_TRY(check_memory(environment, cost.memory));
  THIMBLE_ASSIGN(job.prepared.source_digest, digest_of_source(job.prepared.original, environment));
  THIMBLE_ASSIGN(job.measurements_fingerprint, fingerprint_of_measurements(job, choices));
  job.fingerprint = digest_of(job.measurements_fingerprint + "\n" + job.recipe.budget.text).hex();
  return job;
}

}  // namespace thimble::cli

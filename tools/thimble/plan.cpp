// thimble plan: what a recipe would do to a model: sizes, memory, what each tensor becomes. Nothing
// is written.

#include <cstdio>

#include <nlohmann/json.hpp>

#include "report/json.h"
#include "report/summary.h"
#include "support/text.h"
#include "tools/thimble/budget.h"
#include "tools/thimble/cost.h"
#include "tools/thimble/open.h"
#include "tools/thimble/pipeline.h"
#include "tools/thimble/recipe_options.h"

namespace thimble::cli {
namespace {

struct PlanChoices {
  std::string model;
  RecipeChoices recipe;
  std::string calibrate;
  bool tensors = false;
};

// Where the time goes.
std::string parts_of(const Cost& cost, int threads) {
  std::vector<std::string> parts;
  const auto add = [&](const char* name, double seconds) {
    if (seconds > 0) parts.push_back(format_duration(seconds / threads) + " for " + name);
  };
  if (cost.calibration + cost.budget <= 0) return "";
  add("calibration", cost.calibration);
  add("measuring the budget", cost.budget);
  add("the weights", cost.weights);
  return ":\n    " + join(parts, ", ");
}

Expected<int> run_plan(const PlanChoices& choices, Environment& environment) {
  THIMBLE_ASSIGN(recipe::Recipe recipe, read_recipe(choices.recipe));
  recipe::name_calibration(choices.calibrate, recipe.calibration);
  THIMBLE_ASSIGN(const std::string path, model_of(choices.model, recipe));
  THIMBLE_ASSIGN(Prepared prepared, read_original(path, environment));
  THIMBLE_TRY(check_sha256(prepared.original, recipe, environment));
  BudgetWork budget;
  if (has_budget(recipe, {})) {
    THIMBLE_TRY(check_choice(recipe, {}));
    THIMBLE_ASSIGN(budget, budget_work(prepared.original, recipe));
    BudgetRequest request{.passes = {.dry_run = true}};
    request.work = &budget;
    THIMBLE_TRY(run_to_budget(prepared, recipe, request, environment));
  } else {
    THIMBLE_TRY(run_recipe(prepared, recipe, {.dry_run = true}, environment));
  }
  THIMBLE_ASSIGN(const std::uint64_t payload, payload_bytes(prepared.model));
  const std::uint64_t parameters = prepared.original.parameter_count();
  const double bits = bits_per_weight(payload, parameters);
  THIMBLE_ASSIGN(const Samples calibration, calibration_samples(prepared.original, recipe));
  const int threads = environment.pool.threads();
  const Cost cost = cost_of(prepared.original, calibration, budget, threads);
  const double seconds = cost.seconds() / threads;
  // A divergence is measured, so only the least that it can come to is known.
  const bool least = recipe.budget.kind == pass::BudgetKind::kKlMean;
  if (environment.globals.json) {
    report::Json out = report::document("plan");
    out["model"] = path;
    out["recipe"] = recipe.name;
    out["parameters"] = parameters;
    out["source_bytes"] = prepared.original.weight_bytes();
    out["payload_bytes"] = payload;
    out["payload_is_lower_bound"] = least;
    out["bits_per_weight"] = bits;
    out["working_memory_bytes"] = cost.memory;
    out["peak_rss_bytes_estimate"] = cost.resident;
    out["seconds_estimate"] = seconds;
    out["seconds_by_part"] = {{"weights", cost.weights / threads},
                              {"calibration", cost.calibration / threads},
                              {"budget", cost.budget / threads}};
    out["tensors"] = report::tensors(prepared.report);
    report::print(out);
    return 0;
  }
  std::printf("%s with %s:\n  %s parameters, %s -> %s%s of weights, %.3f bits per weight\n",
              path.c_str(), recipe.name.c_str(), format_count(parameters).c_str(),
              format_bytes(prepared.original.weight_bytes()).c_str(), least ? "at least " : "",
              format_bytes(payload).c_str(), bits);
  if (least)
    std::printf("  how much '%s' takes is measured by compress\n", recipe.budget.text.c_str());
  std::printf("  memory about %s, time about %s without evaluation%s\n",
              format_bytes(cost.resident).c_str(), format_duration(seconds).c_str(),
              parts_of(cost, threads).c_str());
  if (choices.tensors) {
    std::printf("\n");
    report::tensor_table(prepared.report, 0).print();
  }
  return 0;
}

}  // namespace

void add_plan(CLI::App& app, Globals& globals, Selected& selected) {
  auto choices = std::make_shared<PlanChoices>();
  CLI::App* command =
      add_command(app, globals, selected, "plan", "Say what a recipe would do, without doing it",
                  "  thimble plan MODEL -r int3-mixed --tensors",
                  [choices](Environment& environment) { return run_plan(*choices, environment); });
  command->add_option("MODEL", choices->model,
                      "A Hugging Face folder or hub name, a GGUF or an ONNX file; or the recipe's");
  add_dim_option(*command, globals);
  add_recipe_options(*command, choices->recipe);
  add_budget_options(*command, choices->recipe);
  command
      ->add_option("--calibrate", choices->calibrate,
                   "What compress is to calibrate on, in place of the recipe's")
      ->type_name("FILE");
  command->add_flag("--tensors", choices->tensors, "Every tensor with its scheme");
}

}  // namespace thimble::cli

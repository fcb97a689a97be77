// thimble plan: what a recipe would do to a model: sizes, memory, what each tensor becomes. Nothing
// is written.

#include <cstdio>

#include <nlohmann/json.hpp>

#include "report/json.h"
#include "report/summary.h"
#include "support/text.h"
#include "tools/thimble/budget.h"
#include "tools/thimble/budget_work.h"
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

struct Plan {
  std::string path;
  recipe::Recipe recipe;
  Prepared prepared;          // after a dry run
  std::uint64_t payload = 0;  // bytes of weights
  Cost cost;                  // of one thread
  int threads = 1;

  std::uint64_t parameters() const { return prepared.original.parameter_count(); }
  double bits() const { return bits_per_weight(payload, parameters()); }
  double seconds() const { return cost.seconds() / threads; }
  // A divergence is measured, so only the least that the weights can come to is known.
  bool is_least() const { return recipe.budget.kind == pass::BudgetKind::kKlMean; }
};

Expected<BudgetWork> run_dry(Plan& plan, Environment& environment) {
  BudgetWork budget;
  if (!has_budget(plan.recipe, {})) {
    THIMBLE_TRY(run_recipe(plan.prepared, plan.recipe, {.dry_run = true}, environment));
    return budget;
  }
  THIMBLE_TRY(check_choice(plan.recipe, {}));
  THIMBLE_ASSIGN(budget, budget_work(plan.prepared.original, plan.recipe));
  BudgetRequest request{.passes = {.dry_run = true}};
  request.work = &budget;
  THIMBLE_TRY(run_to_budget(plan.prepared, plan.recipe, request, environment));
  return budget;
}

Expected<Plan> make_plan(const PlanChoices& choices, Environment& environment) {
  Plan plan;
  plan.threads = environment.pool.threads();
  THIMBLE_ASSIGN(plan.recipe, read_recipe(choices.recipe));
  recipe::name_calibration(choices.calibrate, plan.recipe.calibration);
  THIMBLE_ASSIGN(plan.path, model_of(choices.model, plan.recipe));
  THIMBLE_ASSIGN(plan.prepared, read_original(plan.path, environment));
  const ir::Model& original = plan.prepared.original;
  THIMBLE_TRY(check_sha256(original, plan.recipe, environment));
  THIMBLE_ASSIGN(const BudgetWork budget, run_dry(plan, environment));
  THIMBLE_ASSIGN(plan.payload, payload_bytes(plan.prepared.model));
  THIMBLE_ASSIGN(const Samples calibration, calibration_samples(original, plan.recipe));
  plan.cost = cost_of(original, calibration, budget, plan.threads);
  return plan;
}

report::Json to_json(const Plan& plan) {
  report::Json out = report::document("plan");
  out["model"] = plan.path;
  out["recipe"] = plan.recipe.name;
  out["parameters"] = plan.parameters();
  out["source_bytes"] = plan.prepared.original.weight_bytes();
  out["payload_bytes"] = plan.payload;
  out["payload_is_lower_bound"] = plan.is_least();
  out["bits_per_weight"] = plan.bits();
  out["working_memory_bytes"] = plan.cost.memory;
  out["peak_rss_bytes_estimate"] = plan.cost.resident;
  out["seconds_estimate"] = plan.seconds();
  out["seconds_by_part"] = {{"weights", plan.cost.weights / plan.threads},
                            {"calibration", plan.cost.calibration / plan.threads},
                            {"budget", plan.cost.budget / plan.threads}};
  out["tensors"] = report::tensors(plan.prepared.report);
  return out;
}

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

void print(const Plan& plan) {
  std::printf("%s with %s:\n  %s parameters, %s -> %s%s of weights, %.3f bits per weight\n",
              plan.path.c_str(), plan.recipe.name.c_str(), format_count(plan.parameters()).c_str(),
              format_bytes(plan.prepared.original.weight_bytes()).c_str(),
              plan.is_least() ? "at least " : "", format_bytes(plan.payload).c_str(), plan.bits());
  if (plan.is_least())
    std::printf("  how much '%s' takes is measured by compress\n", plan.recipe.budget.text.c_str());
  std::printf("  memory about %s, time about %s without evaluation%s\n",
              format_bytes(plan.cost.resident).c_str(), format_duration(plan.seconds()).c_str(),
              parts_of(plan.cost, plan.threads).c_str());
}

Expected<int> run_plan(const PlanChoices& choices, Environment& environment) {
  THIMBLE_ASSIGN(const Plan plan, make_plan(choices, environment));
  if (environment.globals.json) {
    report::print(to_json(plan));
    return 0;
  }
  print(plan);
  if (choices.tensors) {
    std::printf("\n");
    report::tensor_table(plan.prepared.report, 0).print();
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

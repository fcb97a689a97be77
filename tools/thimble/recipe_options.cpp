#include "tools/thimble/recipe_options.h"

#include "passes/all.h"

namespace thimble::cli {
namespace {

Status set_budget(const RecipeChoices& choices, recipe::Recipe& recipe) {
  const int kinds = (choices.size.empty() ? 0 : 1) + (choices.bits_per_weight > 0 ? 1 : 0) +
                    (choices.kl > 0 ? 1 : 0);
  if (kinds > 1)
    return Error(ErrorCode::kUsage, "--size, --bits-per-weight and --kl exclude each other");
  const pass::Sensitivity sensitivity = recipe.budget.sensitivity;
  if (!choices.size.empty()) {
    auto budget = recipe::size_budget(choices.size);
    if (!budget)
      return Error(ErrorCode::kUsage,
                   "--size reads a size such as 60MB, not '" + choices.size + "'");
    recipe.budget = *std::move(budget);
  }
  if (choices.bits_per_weight > 0) recipe.budget = recipe::bits_budget(choices.bits_per_weight);
  if (choices.kl > 0) recipe.budget = recipe::kl_budget(choices.kl);
  recipe.budget.sensitivity = sensitivity;
  if (!choices.tune.empty()) {
    recipe::name_calibration(choices.tune, recipe.tune);
    if (!recipe.tune.chat.empty())
      return Error(ErrorCode::kUsage, "--tune takes no conversations")
          .fix("give a text, an .npz, a .wav or `teacher`");
  }
  return ok();
}

}  // namespace

void add_overrides(CLI::App& command, RecipeChoices& choices) {
  command.add_option("--var", choices.variables, "NAME=VALUE for ${NAME} in the recipe")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false);
  command
      .add_option("--set", choices.set, "Change one option, as in --set quantize-weights.bits=3")
      ->type_name("PASS.OPTION=VALUE")
      ->allow_extra_args(false);
}

void add_recipe_options(CLI::App& command, RecipeChoices& choices, const std::string& fallback) {
  command
      .add_option("-r,--recipe", choices.recipe,
                  "A recipe file, the name of a shipped one, or - for stdin" + fallback)
      ->type_name("RECIPE");
  add_overrides(command, choices);
}

void add_budget_options(CLI::App& command, RecipeChoices& choices) {
  command
      .add_option(
          "--size", choices.size,
          "The largest file wanted: bits go where they count most; recipe budget unless given")
      ->type_name("SIZE");
  command.add_option("--bits-per-weight", choices.bits_per_weight, "The same, for all weights")
      ->check(between("0.5", "32"))
      ->type_name("BITS");
  command.add_option("--kl", choices.kl, "The smallest file of at most this mean KL, in nats")
      ->check(between("1e-9", "100"))
      ->type_name("NATS");
  command
      .add_option("--tune", choices.tune,
                  "Text or .npz to measure a budget on, or `teacher`: what the model writes; in "
                  "place of the recipe's")
      ->type_name("FILE");
}

Expected<recipe::Recipe> read_recipe(const RecipeChoices& choices) {
  recipe::ReadOptions options;
  options.registry = passes::all();
  options.set = choices.set;
  for (const std::string& variable : choices.variables) {
    const auto equals = variable.find('=');
    if (equals == std::string::npos)
      return Error(ErrorCode::kUsage, "--var reads NAME=VALUE, not '" + variable + "'");
    options.variables.emplace_back(variable.substr(0, equals), variable.substr(equals + 1));
  }
  const char* fallback = choices.has_budget() ? "budget" : "int4";
  THIMBLE_ASSIGN(recipe::Recipe recipe,
                 recipe::read_recipe(choices.recipe.empty() ? fallback : choices.recipe, options));
  THIMBLE_TRY(set_budget(choices, recipe));
  return recipe;
}

}  // namespace thimble::cli

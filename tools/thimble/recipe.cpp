// thimble recipe: the shipped recipes, and whether one of the user's is right.

#include "recipe/recipe.h"

#include <cstdio>

#include <nlohmann/json.hpp>

#include "passes/all.h"
#include "report/json.h"
#include "tools/thimble/help.h"
#include "tools/thimble/recipe_options.h"

namespace thimble::cli {
namespace {

struct RecipeCommand {
  std::string action;
  RecipeChoices recipe;
};

Expected<int> validate(const RecipeCommand& choices, const Globals& globals) {
  THIMBLE_ASSIGN(const recipe::Recipe recipe, read_recipe(choices.recipe));
  if (globals.json) {
    report::Json out = report::document("recipe validate");
    out["recipe"] = recipe.name;
    out["passes"] = report::Json::array();
    for (const pass::Step& step : recipe.passes) {
      report::Json options = report::Json::object();
      for (const auto& [name, value] : step.options.listed()) options[name] = value;
      out["passes"].push_back({{"name", step.registration->info.name}, {"options", options}});
    }
    out["gates"] = report::Json::array();
    for (const eval::Gate& gate : recipe.gates) out["gates"].push_back(gate.text);
    report::print(out);
  } else {
    std::printf("%s: ok (passes: %zu, gates: %zu)\n", recipe.name.c_str(), recipe.passes.size(),
                recipe.gates.size());
  }
  return 0;
}

Expected<int> list(const Globals& globals) {
  report::Json names = report::Json::array();
  for (const recipe::Shipped& shipped : recipe::shipped_recipes()) {
    names.push_back(shipped.name);
    // A recipe's first line says what it is for.
    const std::string_view first = shipped.text.substr(0, shipped.text.find('\n'));
    if (!globals.json)
      std::printf("%-18s %s\n", std::string(shipped.name).c_str(),
                  wrapped(std::string(first.substr(first.find(' ') + 1)), 19, 19).c_str());
  }
  if (globals.json) {
    report::Json out = report::document("recipe list");
    out["recipes"] = std::move(names);
    report::print(out);
  }
  return 0;
}

Expected<int> show(const RecipeCommand& choices, const Globals& globals) {
  const std::string& wanted = choices.recipe.recipe.empty() ? "int4" : choices.recipe.recipe;
  THIMBLE_ASSIGN(const std::string text, recipe::recipe_text(wanted));
  if (globals.json) {
    report::Json out = report::document("recipe show");
    out["recipe"] = wanted;
    out["text"] = text;
    report::print(out);
  } else {
    std::printf("%s", text.c_str());
  }
  return 0;
}

Expected<int> run_recipe(const RecipeCommand& choices, const Globals& globals) {
  if (choices.action == "validate") return validate(choices, globals);
  if (choices.action == "list") return list(globals);
  return show(choices, globals);
}

}  // namespace

namespace {

void add_overrides(CLI::App& command, RecipeChoices& choices) {
  command.add_option("--var", choices.variables, "NAME=VALUE for ${NAME} in the recipe")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false);
  command
      .add_option("--set", choices.set, "Change one option, as in --set quantize-weights.bits=3")
      ->type_name("PASS.OPTION=VALUE")
      ->allow_extra_args(false);
}

}  // namespace

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
      ->check(CLI::Range(0.5, 32.0))
      ->type_name("BITS");
  command.add_option("--kl", choices.kl, "The smallest file of at most this mean KL, in nats")
      ->check(CLI::Range(1e-9, 100.0))
      ->type_name("NATS");
  command
      .add_option("--tune", choices.tune,
                  "Text or .npz to measure a budget on, or `teacher`: what the model writes; in "
                  "place of the recipe's")
      ->type_name("FILE");
}

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

void add_recipe(CLI::App& app, Globals& globals, Selected& selected) {
  auto choices = std::make_shared<RecipeCommand>();
  CLI::App* command =
      add_command(app, globals, selected, "recipe", "List, show or validate recipes",
                  "  thimble recipe list\n  thimble recipe show int4\n  thimble recipe validate "
                  "my.yaml --var TEXT=score.txt",
                  [choices, &globals](Environment&) { return run_recipe(*choices, globals); });
  command->add_option("ACTION", choices->action, "validate, list or show")
      ->required()
      ->check(CLI::IsMember({"validate", "list", "show"}));
  command->add_option("RECIPE", choices->recipe.recipe,
                      "A file, the name of a shipped recipe, or - for stdin; int4 unless given");
  add_overrides(*command, choices->recipe);
}

}  // namespace thimble::cli

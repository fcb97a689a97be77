// thimble recipe: the shipped recipes, and whether one of the user's is right.

#include "recipe/recipe.h"

#include <cstdio>

#include <nlohmann/json.hpp>

#include "passes/all.h"
#include "report/json.h"
#include "tools/thimble/recipe_options.h"

namespace thimble::cli {
namespace {

struct Choices {
  std::string action;
  RecipeChoices recipe;
};

Expected<int> validate(const Choices& choices, const Globals& globals) {
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
    std::printf("%s\n", out.dump(2).c_str());
  } else {
    std::printf("%s: ok, %zu passes, %zu gates\n", recipe.name.c_str(), recipe.passes.size(),
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
                  std::string(first.substr(first.find(' ') + 1)).c_str());
  }
  if (globals.json) {
    report::Json out = report::document("recipe list");
    out["recipes"] = std::move(names);
    std::printf("%s\n", out.dump(2).c_str());
  }
  return 0;
}

Expected<int> show(const Choices& choices) {
  for (const recipe::Shipped& shipped : recipe::shipped_recipes()) {
    if (shipped.name == choices.recipe.recipe) {
      std::printf("%s", std::string(shipped.text).c_str());
      return 0;
    }
  }
  return not_found("no shipped recipe '" + choices.recipe.recipe + "'").fix("thimble recipe list");
}

Expected<int> run(const Choices& choices, const Globals& globals) {
  if (choices.action == "validate") return validate(choices, globals);
  if (choices.action == "list") return list(globals);
  return show(choices);
}

}  // namespace

void add_recipe_options(CLI::App& command, RecipeChoices& choices) {
  command
      .add_option("-r,--recipe", choices.recipe,
                  "A recipe file, or the name of a shipped one; int4 unless given")
      ->type_name("RECIPE");
  command.add_option("--var", choices.variables, "NAME=VALUE for ${NAME} in the recipe")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false);
  command
      .add_option("--set", choices.set, "Change one option, as in --set quantize-weights.bits=3")
      ->type_name("PASS.OPTION=VALUE")
      ->allow_extra_args(false);
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
  return recipe::read_recipe(choices.recipe, options);
}

void add_recipe(CLI::App& app, Globals& globals, Selected& selected) {
  auto choices = std::make_shared<Choices>();
  CLI::App* command =
      add_command(app, globals, selected, "recipe", "List, show or validate recipes",
                  "  thimble recipe list\n  thimble recipe show int4\n  thimble recipe validate "
                  "my.yaml --var TEXT=score.txt",
                  [choices, &globals](Environment&) { return run(*choices, globals); });
  command->add_option("ACTION", choices->action, "validate, list or show")
      ->required()
      ->check(CLI::IsMember({"validate", "list", "show"}));
  command->add_option("RECIPE", choices->recipe.recipe, "A file, or the name of a shipped recipe");
  command->add_option("--var", choices->recipe.variables, "NAME=VALUE for ${NAME} in the recipe")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false);
  command
      ->add_option("--set", choices->recipe.set,
                   "Change one option, as in --set quantize-weights.bits=3")
      ->type_name("PASS.OPTION=VALUE")
      ->allow_extra_args(false);
}

}  // namespace thimble::cli

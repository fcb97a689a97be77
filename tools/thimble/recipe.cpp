// thimble recipe: the shipped recipes, and whether one of the user's is right.

#include "recipe/recipe.h"

#include <cstdio>

#include <nlohmann/json.hpp>

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

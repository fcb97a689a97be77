#pragma once
// The options by which commands take a recipe.

#include <string>
#include <vector>

#include "recipe/recipe.h"
#include "tools/thimble/command.h"

namespace thimble::cli {

struct RecipeChoices {
  std::string recipe = "int4";
  std::vector<std::string> variables;  // NAME=VALUE
  std::vector<std::string> set;        // PASS.OPTION=VALUE
};

void add_recipe_options(CLI::App& command, RecipeChoices& choices);
Expected<recipe::Recipe> read_recipe(const RecipeChoices& choices);

}  // namespace thimble::cli

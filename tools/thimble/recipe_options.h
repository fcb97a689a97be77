#pragma once
// The options by which commands take a recipe.

#include <string>
#include <vector>

#include "recipe/recipe.h"
#include "tools/thimble/command.h"

namespace thimble::cli {

struct RecipeChoices {
  std::string recipe;                  // empty: int4, or budget where there is one
  std::vector<std::string> variables;  // NAME=VALUE
  std::vector<std::string> set;        // PASS.OPTION=VALUE
  std::string size, tune;              // in place of the recipe's budget and tune text
  double bits_per_weight = 0, kl = 0;  // 0: not given

  bool has_budget() const { return !size.empty() || bits_per_weight > 0 || kl > 0; }
};

void add_overrides(CLI::App& command, RecipeChoices& choices);  // --var and --set
// Of `compress` and `plan`.
void add_budget_options(CLI::App& command, RecipeChoices& choices);
void add_recipe_options(CLI::App& command, RecipeChoices& choices,
                        const std::string& fallback = "; int4 unless given");
Expected<recipe::Recipe> read_recipe(const RecipeChoices& choices);

}  // namespace thimble::cli

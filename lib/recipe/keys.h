#pragma once
// What a recipe's keys say, each read into its part of a Recipe.

#include <span>
#include <string>
#include <vector>

#include "recipe/recipe.h"

namespace thimble::recipe {

// --set PASS.OPTION=VALUE.
struct Override {
  std::string setting, pass, option;
  pass::OptionValue value;
};

// What the keys of a file are read with.
struct KeyReading {
  std::span<const pass::Registration> registry;
  const std::vector<Override>& overrides;
  std::string directory;  // that paths are relative to; empty: the current one
};

// Over what `recipe` holds already: it may be what the file extends.
Status read_keys(const pass::OptionValue& root, const KeyReading& reading, Recipe& recipe);

}  // namespace thimble::recipe

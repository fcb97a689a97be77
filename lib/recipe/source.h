#pragma once
// Where a recipe's text comes from: a file, a pipe, or the recipes inside the program.

#include <string>

#include "support/expected.h"

namespace thimble::recipe {

struct Source {
  std::string file;  // or the shipped recipe's name, for places
  std::string text;
  std::string directory;  // that paths in it are relative to; empty: the current one
};

// `name` is a path, relative to `directory`, a shipped recipe's name, or - for the standard input.
Expected<Source> open_source(const std::string& name, const std::string& directory);

}  // namespace thimble::recipe

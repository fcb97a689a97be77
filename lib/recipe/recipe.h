#pragma once
// A recipe: what to do to a model and what it must keep, as a YAML file says. Every mistake is an
// error at file:line:column with a suggestion, and one reading tells all of them. docs/RECIPES.md
// describes the language from the user's side.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "eval/gate.h"
#include "pass/pass.h"
#include "recipe/data_set.h"
#include "recipe/yaml.h"

namespace thimble::recipe {

struct Evaluation {
  std::string text;          // a file; empty: given on the command line, or none
  std::int64_t context = 0;  // 0: not said, 512 where the model has positions for so many
  std::int64_t stride = 0;
  std::int64_t max_windows = 0;
  std::int64_t greedy_windows = 0;  // that both models go on from by themselves, too
  DataSet data;                     // in place of a text
};

// Where passes that calibrate learn what goes through the model.
struct CalibrationSource {
  std::string text;      // a file; empty: given on the command line, or none
  std::string chat;      // a file of conversations, in place of a text
  bool teacher = false;  // the model writes its own text
  std::int64_t tokens = 32768;
  std::int64_t context = 0;  // 0: 512, or the model's limit if that is less
  std::int64_t stride = 0;   // of calibration; 0: windows follow each other
  DataSet data;              // in place of a text
  std::string imatrix;       // a file; beside either or alone
};

struct Recipe {
  std::string name;  // the file, or the shipped recipe's name
  std::string text;  // as read, for provenance
  std::int64_t version = 1;
  std::uint64_t seed = 0;
  std::string cache;         // "f32", "f16", "int8", "int4"; empty: f16 for quantized models
  std::string value_cache;   // of values; empty: as the keys'
  std::string model_path;    // optional: what to compress when the command names no model
  std::string model_sha256;  // optional: lower case, of the weights file
  Place model_sha256_place;
  CalibrationSource calibration;
  CalibrationSource tune;  // what a budget measures on
  std::vector<pass::Step> passes;
  pass::Budget budget;
  Evaluation evaluation;
  std::vector<eval::Gate> gates;
};

struct ReadOptions {
  Variables variables;           // --var NAME=VALUE
  std::vector<std::string> set;  // --set PASS.OPTION=VALUE
  std::span<const pass::Registration> registry;
};

// What --calibrate names, in the place of what the recipe says: a text, conversations (.jsonl),
// arrays (.npz), sound (.wav), or `teacher`. Empty: nothing changes.
void name_calibration(const std::string& name, CalibrationSource& source);

// `source` is a file's path or the name of a shipped recipe.
Expected<Recipe> read_recipe(const std::string& source, const ReadOptions& options);
// What it says, as it is written.
Expected<std::string> recipe_text(const std::string& source);
Expected<Recipe> parse_recipe(std::string_view text, const std::string& file,
                              const ReadOptions& options);

// "60MB" and the like.
Expected<pass::Budget> size_budget(const std::string& size);
pass::Budget bits_budget(double bits);
pass::Budget kl_budget(double nats);

struct Shipped {
  std::string_view name;  // "int4"
  std::string_view text;
};
std::span<const Shipped> shipped_recipes();  // generated from configs/recipes at build time

}  // namespace thimble::recipe

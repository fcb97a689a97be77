#pragma once
// What one run of `compress` is to do, found before any work.

#include <optional>
#include <string>

#include "tools/thimble/calibration.h"
#include "tools/thimble/pipeline.h"
#include "tools/thimble/recipe_options.h"
#include "tools/thimble/target.h"

namespace thimble::cli {

struct CompressChoices {
  std::string model, output, text, calibrate, imatrix;
  std::string measurements;                   // a folder for those of a budget
  data::WindowOptions windows{.context = 0};  // 0: the recipe's
  RecipeChoices recipe;
  pass::ManagerOptions manager;
  TargetChoices target;
  bool force = false;
};

struct Job {
  recipe::Recipe recipe;  // with what the command line says in its place
  formats::Target target;
  std::optional<CalibrationInput> calibration;
  std::string tune;  // of a budget
  bool budgeted = false;
  Prepared prepared;
  std::string measurements_fingerprint;  // of all that decides what is measured for a budget
  std::string fingerprint;               // of all that decides the output's bytes
};

// Reads the recipe, the model and what they name, and refuses what could not be done.
Expected<Job> plan_job(const CompressChoices& choices, Environment& environment);

}  // namespace thimble::cli

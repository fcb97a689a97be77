#pragma once
// What `compress` and `plan` do, step by step: model -> passes -> lowered program.

#include <optional>
#include <string>

#include "calibrate/calibration.h"
#include "ir/model.h"
#include "pass/pass.h"
#include "recipe/recipe.h"
#include "tools/thimble/command.h"
#include "tools/thimble/target.h"

namespace thimble::cli {

struct Prepared {
  ir::Model original;  // as read; weights are shared, not copied
  ir::Model model;     // after the passes
  pass::Report report;
  std::string source_digest;
};

// The model that a command means: the one it names, or else the recipe's.
Expected<std::string> model_of(const std::string& named, const recipe::Recipe& recipe);

// Refuses a model whose weights file (of several, one after the other) hasn't the recipe's sha256.
Status check_sha256(const ir::Model& model, const recipe::Recipe& recipe, Environment& environment);

// Reads the model: both copies are the original.
Expected<Prepared> read_original(const std::string& path, Environment& environment);

// Runs the recipe's passes. Where none calibrates, weights stay thunks: nothing is computed yet.
struct PassRequest {
  pass::ManagerOptions manager;
  bool dry_run = false;
  calibrate::Calibration* calibration = nullptr;             // see calibration.h
  std::function<bool(const ir::Weight&)> target_holds = {};  // see pass::Context
};
pass::Context context_of(const PassRequest& request, const recipe::Recipe& recipe,
                         Environment& environment);
Status run_recipe(Prepared& prepared, const recipe::Recipe& recipe, const PassRequest& request,
                  Environment& environment);

// Looks for weights that aren't finite in the model as it was read: tells the user, or refuses it
// under --strict.
Status check_finite(Prepared& prepared, Environment& environment);

// Tells the user what the passes found.
void warn_user(const pass::Report& report, Environment& environment);

// Of the segments that the model's program will have.
Expected<std::uint64_t> payload_bytes(const ir::Model& model);
// Of the tensors that a file of the target will have; where it has floats in place of codes, what
// these come to in a .thimble.
Expected<std::uint64_t> payload_bytes(const ir::Model& model, const formats::Target& target);

// The digest of what a model is made of: names, sizes and bytes of its files. Pages are released as
// it reads.
Expected<std::string> digest_of_source(const ir::Model& model, Environment& environment);

// Fills in what became known while the weights were written: errors, and groups of zeros. Of these
// it tells the user; under --strict they are an error.
Status collect_losses(const ir::Model& model, pass::Report& report, Environment& environment);

std::optional<program::CacheType> cache_named(const std::string& name);
// The caches that the recipe asks for, or those that suit the model.
void set_caches(const recipe::Recipe& recipe, const ir::Model& model, program::Program& program);

}  // namespace thimble::cli

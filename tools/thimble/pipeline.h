#pragma once
// What `compress` and `plan` do, step by step: model -> passes -> lowered program.

#include <string>
#include <vector>

#include "ir/model.h"
#include "lower/lower.h"
#include "pass/pass.h"
#include "recipe/recipe.h"
#include "tools/thimble/command.h"

namespace thimble::cli {

struct Prepared {
  ir::Model original;  // as read; weights are shared, not copied
  ir::Model model;     // after the passes
  pass::Report report;
  std::string source_digest;
};

// Reads the model and runs the recipe's passes. Weights stay thunks: nothing is computed yet.
Expected<Prepared> prepare(const std::string& path, const recipe::Recipe& recipe,
                           const pass::ManagerOptions& options, Environment& environment);

// The digest of what a model is made of: names, sizes and bytes of its files. Pages are released as
// it reads.
Expected<std::string> digest_of_source(const ir::Model& model, Environment& environment);

// Fills in the errors that became known while the weights were written.
void collect_errors(const ir::Model& model, pass::Report& report);

program::CacheType cache_type(const recipe::Recipe& recipe, const ir::Model& model);

// An estimate, in bytes, of the memory that compressing takes beside the mapped source.
std::uint64_t working_memory(const ir::Model& model, int threads);

}  // namespace thimble::cli

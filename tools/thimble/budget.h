#pragma once
// A recipe's passes where a budget chooses for some of them.

#include <string>

#include "tools/thimble/cost.h"
#include "tools/thimble/pipeline.h"
#include "tools/thimble/target.h"

namespace thimble::cli {

// The recipe leaves something open, or has a budget.
bool has_budget(const recipe::Recipe& recipe, const pass::ManagerOptions& manager);

// Refuses a budget with nothing to choose and a choice without a budget.
Status check_choice(const recipe::Recipe& recipe, const pass::ManagerOptions& manager);

// The tune text's content; empty where the recipe names a data set, or nothing: then the model
// writes it. Errors: nothing to tune on and a model that can't write it, a divergence of what is no
// language model.
Expected<std::string> tune_text(const recipe::Recipe& recipe, const ir::Model& model);
// What the model writes to be tuned on; its windows go into the journal (null: none).
Expected<std::string> write_tune(const recipe::Recipe& recipe, const ir::Model& model,
                                 const calibrate::Journal* journal, Environment& environment);

// Runs the passes before the first that leaves something open, chooses, and runs the rest.
// `metadata` is what the file will say beside the metrics. With a dry run nothing is measured:
// widths are guessed to the budget, for sizes; `tune` isn't looked at.
struct BudgetRequest {
  PassRequest passes;
  std::string tune;
  program::Metadata metadata;
  const calibrate::Journal* measurements = nullptr;  // where they are kept; null: nowhere
  formats::Target target{.format = "thimble"};       // whose bytes a size bounds
  std::string output = {};
  BudgetWork* work = nullptr;  // gains what is open
  bool only_possible = false;  // end when the budget is known to be possible
};
Status run_to_budget(Prepared& prepared, const recipe::Recipe& recipe, const BudgetRequest& request,
                     Environment& environment);

// Measures the file on the tune text: the chosen point of the report's front.
Status verify_budget(Prepared& prepared, const recipe::Recipe& recipe, const std::string& tune,
                     const program::Bundle& artifact, Environment& environment);

}  // namespace thimble::cli

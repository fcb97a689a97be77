#pragma once
// What must hold before compress does any work.

#include <string>

#include "tools/thimble/evaluation.h"
#include "tools/thimble/pipeline.h"
#include "tools/thimble/target.h"

namespace thimble::cli {

// Could a file, or the folder that the format wants, be written there, and not over the source?
Status check_output(const std::string& output, const formats::Target& target,
                    const std::string& source);

// Are the passes that the command line names the recipe's?
Status check_passes(const recipe::Recipe& recipe, const pass::ManagerOptions& manager);

// Could the target hold what the recipe will make? Passes that only say what they would do tell,
// unless a budget is yet to choose.
Status check_target(const Prepared& prepared, const recipe::Recipe& recipe,
                    const pass::ManagerOptions& manager, const formats::Target& target,
                    bool budgeted, Environment& environment);

// Could what comes of the model be evaluated so? A window may be longer than it has positions for.
Status check_evaluation(const Prepared& prepared, const EvaluationRequest& request);

// Is the memory there, or allowed, that the work takes?
Status check_memory(const Environment& environment, std::uint64_t needed);

}  // namespace thimble::cli

#pragma once
// How much a budget measures.

#include <cstddef>
#include <cstdint>

#include "allocate/allocate.h"
#include "tools/thimble/cost.h"

namespace thimble::cli {

// How many calls of a data set slopes are measured on.
std::int64_t measured_calls(const ir::Model& model, const recipe::DataSet& set);
// How many tokens of a text, where so many weights are open.
std::int64_t measured_tokens(const ir::Model& model, const recipe::Recipe& recipe,
                             std::size_t weights);

// What it will measure on, and how often, should every weight be open.
Expected<BudgetWork> budget_work(const ir::Model& model, const recipe::Recipe& recipe);
// Adds what the survey found open, which is to be priced.
void count_offers(const allocate::Survey& survey, const ir::Model& model, BudgetWork& work);

}  // namespace thimble::cli

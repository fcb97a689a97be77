#pragma once
// What the passes that change weights say of them in the report: decisions, and findings.

#include <cstdint>
#include <optional>
#include <string>

#include "ir/weight.h"
#include "pass/report.h"

namespace thimble::passes {

pass::TensorDecision decision_on(const ir::Weight& weight, std::string why);
// The same on a weight that stays as it is.
pass::TensorDecision kept(const ir::Weight& weight, std::string why);

pass::Finding no_effect(std::string text);
pass::Finding left_as_it_is(std::string tensor, const std::string& why, std::string rule = "");
pass::Finding zero_groups(const std::string& tensor, std::uint64_t count, const std::string& rule);
// Where next to nothing is left of a weight, or of what its product gives: by scales that their
// type can't hold, say.
std::optional<pass::Finding> lost(const pass::TensorDecision& decision);
// What is wrong with the inputs' statistics of the product that reads the weight: inputs that were
// always 0 (`dead` of them, with what becomes of them), and fewer tokens than inputs.
void find_poor_inputs(const ir::Weight& weight, std::uint64_t dead, const std::string& fate,
                      std::int64_t tokens, std::int64_t inputs, const std::string& rule,
                      pass::PassReport& report);

}  // namespace thimble::passes

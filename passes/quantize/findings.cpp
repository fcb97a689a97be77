#include "passes/quantize/findings.h"

#include <cmath>

#include "support/text.h"

namespace thimble::passes {
namespace {

double bits_per_weight(const ir::Weight& weight) {
  const auto elements = static_cast<double>(weight.element_count());
  const std::uint64_t bits =
      weight.encoding.payload_bits(weight.rows(), weight.inputs(), weight.dtype);
  return elements == 0 ? 0 : static_cast<double>(bits) / elements;
}

}  // namespace

pass::TensorDecision decision_on(const ir::Weight& weight, std::string why) {
  pass::TensorDecision decision;
  decision.tensor = weight.name;
  decision.scheme = weight.scheme();
  decision.bits_per_weight = bits_per_weight(weight);
  decision.parameters = static_cast<std::uint64_t>(weight.element_count());
  decision.why = std::move(why);
  return decision;
}

pass::TensorDecision kept(const ir::Weight& weight, std::string why) {
  pass::TensorDecision decision = decision_on(weight, std::move(why));
  decision.kept = true;
  return decision;
}

pass::Finding no_effect(std::string text) {
  return {pass::FindingKind::kNoEffect, "", 0, std::move(text), ""};
}

pass::Finding left_as_it_is(std::string tensor, const std::string& why, std::string rule) {
  return {pass::FindingKind::kLeftAsIs, std::move(tensor), 0, "left as it is: " + why,
          std::move(rule)};
}

pass::Finding zero_groups(const std::string& tensor, std::uint64_t count, const std::string& rule) {
  return {pass::FindingKind::kZeroGroup, tensor, count,
          std::to_string(count) + " groups of weights are all 0; their scale is 0", rule};
}

std::optional<pass::Finding> lost(const pass::TensorDecision& decision) {
  constexpr double kNearlyAll = 0.9;  // 2 bits lose a quarter
  const double error = decision.output_error.value_or(decision.error.value_or(0));
  if (decision.kept || error < kNearlyAll) return std::nullopt;
  const std::string known =
      std::isfinite(error) ? " (error " + format_significant(error) + ")" : std::string();
  return pass::Finding{pass::FindingKind::kLost, decision.tensor, 0,
                       "next to nothing is left of it as " + decision.scheme + known +
                           ": it takes more bits, smaller groups or, beyond what f16 scales "
                           "reach, `scale: f32`",
                       decision.why};
}

void find_poor_inputs(const ir::Weight& weight, std::uint64_t dead, const std::string& fate,
                      std::int64_t tokens, std::int64_t inputs, const std::string& rule,
                      pass::PassReport& report) {
  if (dead > 0) {
    report.findings.push_back(
        {pass::FindingKind::kDeadChannel, weight.name, dead,
         std::to_string(dead) + " inputs were 0 in all of the calibration; " + fate, rule});
  }
  if (tokens >= inputs) return;
  report.findings.push_back({pass::FindingKind::kSingularHessian, weight.name,
                             static_cast<std::uint64_t>(inputs - tokens),
                             std::to_string(tokens) + " tokens of calibration for " +
                                 std::to_string(inputs) +
                                 " inputs: the Hessian is singular but for its damping",
                             rule});
}

}  // namespace thimble::passes

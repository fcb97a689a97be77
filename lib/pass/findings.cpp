#include <algorithm>

#include "pass/report.h"

namespace thimble::pass {

std::string_view kind_name(FindingKind kind) {
  switch (kind) {
    case FindingKind::kNotFinite:
      return "not-finite";
    case FindingKind::kZeroGroup:
      return "zero-group";
    case FindingKind::kLost:
      return "lost";
    case FindingKind::kDeadChannel:
      return "dead-channel";
    case FindingKind::kSingularHessian:
      return "singular-hessian";
    case FindingKind::kShape:
      return "shape";
    case FindingKind::kNoImportance:
      return "no-importance";
    case FindingKind::kLeftAsIs:
      return "left-as-is";
    case FindingKind::kNoEffect:
      return "no-effect";
  }
  return "";
}

std::string Finding::to_string() const {
  return tensor.empty() ? text : "'" + tensor + "': " + text;
}

std::string Report::step_key() const {
  const PassReport& step = passes.back();
  std::string key = step.pass + " " + std::to_string(passes.size());
  for (const auto& [name, value] : step.options) key += " " + name + "=" + value;
  return key;
}

Error strict_error(std::span<const Finding> findings, const std::string& pass) {
  THIMBLE_CHECK(!findings.empty(), "an error under --strict has a finding");
  constexpr std::size_t kNamed = 4;
  const Finding& first = findings.front();
  Error error(ErrorCode::kUnsupported, first.text);
  error.place.tensor = first.tensor;
  if (!first.rule.empty() && first.rule != "default")
    error.notes.push_back("decided by " + first.rule);
  if (findings.size() > 1) {
    std::string more = "and " + std::to_string(findings.size() - 1) + " more:";
    for (std::size_t i = 1; i < std::min(findings.size(), kNamed + 1); ++i) {
      const Finding& finding = findings[i];
      more += (i > 1 ? ", " : " ") + std::string(kind_name(finding.kind));
      if (!finding.tensor.empty()) more += " '" + finding.tensor + "'";
    }
    error.notes.push_back(more + (findings.size() > kNamed + 1 ? ", ..." : ""));
  }
  return std::move(error)
      .note((pass.empty() ? "in the model as it was read" : "in pass '" + pass + "'") +
            std::string(", under --strict"))
      .fix("mend the model or the recipe, or leave out --strict");
}

}  // namespace thimble::pass

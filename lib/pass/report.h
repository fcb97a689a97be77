#pragma once
// What was done and why, as data. lib/report prints it.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/error.h"

namespace thimble::pass {

struct TensorDecision {
  std::string tensor;
  std::string scheme;          // Encoding::to_string(), or "f32"
  double bits_per_weight = 0;  // payload bits over elements
  std::uint64_t parameters = 0;
  std::optional<double> error;  // |W - Q(W)|^2 / |W|^2, known once the weight was written
  // What the product's outputs lose over the calibration, |X (W - Q(W))^T|^2 / |X W^T|^2, and what
  // they would by rounding to nearest.
  std::optional<double> output_error, rounding_output_error;
  std::string why;    // the rule that decided: "rule 2 (role: embedding)", "default"
  bool kept = false;  // the pass looked at the weight and left it as it was
};

// What a pass came upon that its user should hear of: each an error under --strict.
enum class FindingKind : std::uint8_t {
  kNotFinite,        // weights or activations that are NaN or infinite
  kZeroGroup,        // groups of weights that are all 0: their scale is 0
  kLost,             // a weight of which next to nothing is left
  kDeadChannel,      // inputs that were 0 in all of the calibration, or weights that are
  kSingularHessian,  // fewer tokens of calibration than inputs
  kShape,            // a shape or use that the encoding asked for can't take
  kNoImportance,     // nothing is known of how much the inputs of a weight matter
  kLeftAsIs,         // a tensor or value that the pass could not change
  kNoEffect,         // a rule or pass that changed nothing
};

std::string_view kind_name(FindingKind kind);  // "zero-group"

struct Finding {
  FindingKind kind = FindingKind::kNoEffect;
  std::string tensor;       // a weight's or a value's name; empty: of the whole model
  std::uint64_t count = 0;  // of what `text` speaks of; 0: nothing is counted
  std::string text;         // one clause, without the tensor's name
  std::string rule;         // that decided: "rule 2 (role: mlp)", "default"; may be empty

  std::string to_string() const;  // "'w': 3 inputs were 0"
};

// The error that --strict makes of findings (at least one) of `pass`: the first, and who else.
Error strict_error(std::span<const Finding> findings, const std::string& pass);

struct PassReport {
  std::string pass;
  std::vector<std::pair<std::string, std::string>> options;
  double seconds = 0;
  std::int64_t changes = 0;  // nodes or weights
  std::vector<TensorDecision> decisions;
  std::vector<Finding> findings;
};

// A point of what a budget's search saw.
struct BudgetPoint {
  std::uint64_t bytes = 0;         // of what the budget bounds
  double predicted = 0;            // divergence, by the sensitivities
  std::optional<double> measured;  // on the tune text, in the device's arithmetic
  bool chosen = false;
};

struct BudgetReport {
  std::string budget;              // as written: "size: 60MB"; empty: the recipe has none
  std::uint64_t limit = 0;         // bytes; 0: the budget is not one of bytes
  std::uint64_t smallest = 0;      // bytes that the passes allow
  std::vector<BudgetPoint> front;  // by bytes
};

struct Report {
  std::vector<Finding> source;  // in the model as it was read
  std::vector<PassReport> passes;
  BudgetReport budget;
  PassReport& current() { return passes.back(); }
  // What a journal knows the current step's results by: its pass, place and options.
  std::string step_key() const;
};

}  // namespace thimble::pass

#pragma once
// What was done and why, as data. lib/report prints it.

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

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

struct PassReport {
  std::string pass;
  std::vector<std::pair<std::string, std::string>> options;
  double seconds = 0;
  std::int64_t changes = 0;  // nodes or weights
  std::vector<TensorDecision> decisions;
  std::vector<std::string> warnings;  // each an error under --strict
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
  std::vector<PassReport> passes;
  BudgetReport budget;
  PassReport& current() { return passes.back(); }
};

}  // namespace thimble::pass

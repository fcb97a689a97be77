#pragma once
// Gates: what an artifact must keep for a build to pass.

#include <string>
#include <string_view>
#include <vector>

#include "eval/metrics.h"
#include "support/expected.h"

namespace thimble::eval {

enum class Comparison : std::uint8_t { kAtMost, kLess, kAtLeast, kGreater };

struct Gate {
  std::string metric;
  Comparison comparison = Comparison::kAtMost;
  double limit = 0;
  std::string text;       // as written: "kl_mean <= 0.05"
  bool by_value = false;  // the interval doesn't count
  Place place;
};

// "METRIC <= VALUE" with <=, <, >= or >; sizes take B, kB, MB, GB (decimal) or KiB, MiB, GiB;
// ratios may be written in %.
Expected<Gate> parse_gate(std::string_view text, const Place& place);
// "60MB" and the like, in bytes.
Expected<double> parse_size(std::string_view text);

enum class Verdict : std::uint8_t {
  kPassed,
  kFailed,
  kUndecided,    // the interval straddles the limit: more text would decide
  kNotMeasured,  // the metric needs a text or a reference that wasn't given
};
std::string_view verdict_name(Verdict verdict);

struct GateResult {
  Gate gate;
  Interval measured;
  Verdict verdict = Verdict::kNotMeasured;
};

// A gate is decided by the 95 % interval, unless it goes by the value: wholly on the right side
// passes, wholly on the wrong side fails.
std::vector<GateResult> judge(const std::vector<Gate>& gates, const std::vector<Metric>& metrics);

// Does the build pass? Undecided and unmeasured gates fail only under `strict`.
bool acceptable(const std::vector<GateResult>& results, bool strict);

}  // namespace thimble::eval

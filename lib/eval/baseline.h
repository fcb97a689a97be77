#pragma once
// Baselines: metrics as they were, with how far each may move. A small JSON file to check in:
//   {"schema": 1, "metrics": {"kl_mean": {"value": 0.031, "tolerance": 0.05}, ...}}
// where the tolerance is a share of the value, in the direction that is worse. Values count, not
// their intervals: the same text was measured before, so a change is the model's.

#include <string>
#include <vector>

#include "eval/gate.h"

namespace thimble::eval {

// A baseline as gates: "kl_mean <= value * (1 + tolerance)", "top1_agreement >= value * (1 -
// tolerance)".
Expected<std::vector<Gate>> read_baseline(const std::string& path);

// Keeps the tolerances of an existing file; new metrics get 5 % (1 % for sizes).
Status write_baseline(const std::string& path, const std::vector<Metric>& metrics);

}  // namespace thimble::eval

#pragma once
// What people read: gates, tensors and metrics as tables for the terminal, Markdown and JUnit.

#include <span>
#include <string>
#include <vector>

#include "eval/gate.h"
#include "pass/report.h"
#include "report/table.h"

namespace thimble::report {

Table gate_table(const std::vector<eval::GateResult>& results);
Table metric_table(const std::vector<eval::Metric>& metrics);
// The tensors whose error is largest, worst first; all of them with count 0.
Table tensor_table(const pass::Report& report, std::size_t count);
// What a budget's search saw: the points around the chosen one, and all that were measured.
Table budget_table(const pass::Report& report);
// What passes found, a line for each kind and pass: "gptq: 'w': 3 inputs were 0 (and 41 more
// tensors: 'v', ...)".
std::vector<std::string> finding_lines(const std::string& pass,
                                       std::span<const pass::Finding> findings);
std::string junit(const std::string& suite, const std::vector<eval::GateResult>& results,
                  bool strict);

std::string metric_text(const std::string& name, double value);  // "98.4 MB", "0.0123", "1.3 %"

}  // namespace thimble::report

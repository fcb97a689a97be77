#pragma once
// The JSON that scripts and pipelines read. Keys are stable: more may be added, none is renamed.
// Every document carries `schema`.

#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "eval/gate.h"
#include "pass/report.h"
#include "support/error.h"

namespace thimble::report {

using Json = nlohmann::ordered_json;

inline constexpr int kSchema = 1;

Json document(const std::string& command);  // {schema, tool, version, command}
// Names come from files: what of them isn't UTF-8 is replaced.
std::string to_text(const Json& document);
void print(const Json& document);  // to stdout
void add_metrics(
    Json& out,
    const std::vector<eval::Metric>& metrics);  // KEY, and KEY_low, KEY_high where they differ
Json gates(const std::vector<eval::GateResult>& results);
// The same back from a report. What isn't a gate there is left out.
std::vector<eval::GateResult> read_gates(const Json& report);
Json tensors(const pass::Report& report);
Json passes(const pass::Report& report);
// All findings, in the order of the passes; those in the model as it was read first.
Json findings(const pass::Report& report);
// {budget: {text, limit_bytes, smallest_bytes, front: [{bytes, predicted, measured, chosen}]}};
// nothing without a budget.
void add_budget(Json& out, const pass::Report& report);
Json error(const Error& error);  // {error: {code, message, file, line, column, tensor, remedy}}

}  // namespace thimble::report

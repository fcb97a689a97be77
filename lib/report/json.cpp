#include "report/json.h"

#include <cstdio>

#include <nlohmann/json.hpp>

namespace thimble::report {

Json document(const std::string& command) {
  return {
      {"schema", kSchema}, {"tool", "thimble"}, {"version", THIMBLE_VERSION}, {"command", command}};
}

std::string to_text(const Json& document) {
  return document.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

void print(const Json& document) { std::fputs(to_text(document).c_str(), stdout); }

void add_metrics(Json& out, const std::vector<eval::Metric>& metrics) {
  for (const eval::Metric& metric : metrics) {
    out[metric.name] = metric.interval.value;
    if (metric.interval.low == metric.interval.high) continue;
    out[metric.name + "_low"] = metric.interval.low;
    out[metric.name + "_high"] = metric.interval.high;
  }
}

Json gates(const std::vector<eval::GateResult>& results) {
  Json list = Json::array();
  for (const eval::GateResult& result : results) {
    Json gate = {
        {"name", result.gate.text}, {"metric", result.gate.metric}, {"limit", result.gate.limit}};
    if (result.verdict != eval::Verdict::kNotMeasured) {
      gate["value"] = result.measured.value;
      gate["low"] = result.measured.low;
      gate["high"] = result.measured.high;
    }
    gate["verdict"] = eval::verdict_name(result.verdict);
    gate["passed"] = result.verdict == eval::Verdict::kPassed;
    list.push_back(std::move(gate));
  }
  return list;
}

std::vector<eval::GateResult> read_gates(const Json& report) {
  const auto number = [](const Json& gate, const char* key) {
    return gate.contains(key) && gate[key].is_number() ? gate[key].get<double>() : 0.0;
  };
  const auto text = [](const Json& gate, const char* key) {
    return gate.contains(key) && gate[key].is_string() ? gate[key].get<std::string>() : "";
  };
  std::vector<eval::GateResult> results;
  const auto list = report.find("gates");
  if (list == report.end()) return results;
  for (const Json& gate : *list) {
    auto parsed = eval::parse_gate(gate.is_object() ? text(gate, "name") : "", {});
    if (!parsed) continue;
    eval::GateResult result{*std::move(parsed), {}, eval::Verdict::kNotMeasured};
    result.measured = {number(gate, "value"), number(gate, "low"), number(gate, "high")};
    for (const eval::Verdict verdict :
         {eval::Verdict::kPassed, eval::Verdict::kFailed, eval::Verdict::kUndecided}) {
      if (text(gate, "verdict") == eval::verdict_name(verdict)) result.verdict = verdict;
    }
    results.push_back(std::move(result));
  }
  return results;
}

Json tensors(const pass::Report& report) {
  Json list = Json::array();
  for (const pass::PassReport& pass : report.passes) {
    for (const pass::TensorDecision& decision : pass.decisions) {
      Json tensor = {{"name", decision.tensor},
                     {"scheme", decision.scheme},
                     {"bits_per_weight", decision.bits_per_weight}};
      if (decision.error) tensor["error"] = *decision.error;
      if (decision.output_error) tensor["output_error"] = *decision.output_error;
      if (decision.rounding_output_error)
        tensor["rounding_output_error"] = *decision.rounding_output_error;
      tensor["why"] = decision.why;
      tensor["pass"] = pass.pass;
      list.push_back(std::move(tensor));
    }
  }
  return list;
}

Json findings(const pass::Report& report) {
  Json list = Json::array();
  const auto add = [&](const std::string& pass, const std::vector<pass::Finding>& findings) {
    for (const pass::Finding& finding : findings) {
      Json entry = {{"kind", pass::kind_name(finding.kind)}, {"message", finding.text}};
      if (!finding.tensor.empty()) entry["tensor"] = finding.tensor;
      if (finding.count > 0) entry["count"] = finding.count;
      if (!finding.rule.empty()) entry["rule"] = finding.rule;
      if (!pass.empty()) entry["pass"] = pass;
      list.push_back(std::move(entry));
    }
  };
  add("", report.source);
  for (const pass::PassReport& pass : report.passes) add(pass.pass, pass.findings);
  return list;
}

Json passes(const pass::Report& report) {
  Json list = Json::array();
  for (const pass::PassReport& pass : report.passes) {
    Json options = Json::object();
    for (const auto& [name, value] : pass.options) options[name] = value;
    list.push_back({{"name", pass.pass},
                    {"options", options},
                    {"seconds", pass.seconds},
                    {"changes", pass.changes}});
  }
  return list;
}

void add_budget(Json& out, const pass::Report& report) {
  const pass::BudgetReport& budget = report.budget;
  if (budget.budget.empty()) return;
  Json front = Json::array();
  for (const pass::BudgetPoint& point : budget.front) {
    Json entry = {{"bytes", point.bytes}, {"predicted", point.predicted}};
    if (point.measured) entry["measured"] = *point.measured;
    entry["chosen"] = point.chosen;
    front.push_back(std::move(entry));
  }
  out["budget"] = {{"text", budget.budget}, {"smallest_bytes", budget.smallest}};
  if (budget.limit > 0) out["budget"]["limit_bytes"] = budget.limit;
  out["budget"]["front"] = std::move(front);
}

namespace {

Json error_body(const Error& error) {
  Json body = {{"code", code_name(error.code)}, {"message", error.message}};
  if (!error.place.file.empty()) body["file"] = error.place.file;
  if (error.place.line > 0) body["line"] = error.place.line;
  if (error.place.column > 0) body["column"] = error.place.column;
  if (error.place.offset >= 0) body["offset"] = error.place.offset;
  if (!error.place.tensor.empty()) body["tensor"] = error.place.tensor;
  if (!error.notes.empty()) body["notes"] = error.notes;
  if (!error.remedy.empty()) body["remedy"] = error.remedy;
  for (const Error& other : error.more) body["more"].push_back(error_body(other));
  return body;
}

}  // namespace

Json error(const Error& error) { return {{"schema", kSchema}, {"error", error_body(error)}}; }

}  // namespace thimble::report

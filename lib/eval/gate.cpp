#include "eval/gate.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace thimble::eval {
namespace {

std::string_view strip(std::string_view text) {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

constexpr std::array<std::pair<std::string_view, double>, 11> kUnits = {{
    {"B", 1.0},
    {"kB", 1e3},
    {"KB", 1e3},
    {"MB", 1e6},
    {"GB", 1e9},
    {"KiB", 1024.0},
    {"MiB", 1048576.0},
    {"GiB", 1073741824.0},
    {"%", 0.01},
    {"k", 1e3},
    {"M", 1e6},
}};

// Sizes have bytes, other metrics shares of one.
Expected<double> parse_value(std::string_view text, bool size) {
  text = strip(text);
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || !std::isfinite(number)) {
    return Error(ErrorCode::kInvalidRecipe, "'" + std::string(text) + "' is not a number");
  }
  const std::string_view unit = strip(text.substr(static_cast<std::size_t>(end - text.data())));
  if (unit.empty()) return number;
  for (const auto& [name, factor] : kUnits) {
    if (unit == name && size == (unit != "%")) return number * factor;
  }
  return Error(ErrorCode::kInvalidRecipe,
               "unknown unit '" + std::string(unit) +
                   (size ? "'; units of a size are B, kB, MB, GB, KiB, MiB, GiB"
                         : "'; a number stands alone, or as a share in %"));
}

struct Operator {
  std::string_view text;
  Comparison comparison;
};
// Longest first, so that <= isn't read as <.
constexpr std::array<Operator, 4> kOperators = {{{"<=", Comparison::kAtMost},
                                                 {">=", Comparison::kAtLeast},
                                                 {"<", Comparison::kLess},
                                                 {">", Comparison::kGreater}}};

bool holds(Comparison comparison, double value, double limit) {
  switch (comparison) {
    case Comparison::kAtMost:
      return value <= limit;
    case Comparison::kLess:
      return value < limit;
    case Comparison::kAtLeast:
      return value >= limit;
    case Comparison::kGreater:
      return value > limit;
  }
  return false;
}

Verdict judge_one(const Gate& gate, const Interval& measured) {
  if (gate.by_value)
    return holds(gate.comparison, measured.value, gate.limit) ? Verdict::kPassed : Verdict::kFailed;
  const bool low = holds(gate.comparison, measured.low, gate.limit);
  const bool high = holds(gate.comparison, measured.high, gate.limit);
  if (low && high) return Verdict::kPassed;
  return low || high ? Verdict::kUndecided : Verdict::kFailed;
}

}  // namespace

Expected<double> parse_size(std::string_view text) { return parse_value(text, true); }

Expected<Gate> parse_gate(std::string_view text, const Place& place) {
  auto wrong = [&](std::string message) {
    return Error(ErrorCode::kInvalidRecipe, std::move(message)).at(place);
  };
  for (const Operator& op : kOperators) {
    const auto at = text.find(op.text);
    if (at == std::string_view::npos) continue;
    Gate gate;
    gate.metric = std::string(strip(text.substr(0, at)));
    gate.comparison = op.comparison;
    gate.text = std::string(strip(text));
    gate.place = place;
    const auto& known = known_metrics();
    if (std::find(known.begin(), known.end(), gate.metric) == known.end()) {
      return wrong("unknown metric '" + gate.metric + "'" +
                   suggestion(gate.metric, known, "metrics"));
    }
    const bool bytes = metric_info(gate.metric).unit == MetricUnit::kBytes;
    auto limit = parse_value(text.substr(at + op.text.size()), bytes);
    if (!limit) return wrong(limit.error().message);
    gate.limit = *limit;
    return gate;
  }
  return wrong("a gate reads METRIC <= VALUE (or <, >=, >), not '" + std::string(text) + "'");
}

std::string_view verdict_name(Verdict verdict) {
  switch (verdict) {
    case Verdict::kPassed:
      return "passed";
    case Verdict::kFailed:
      return "failed";
    case Verdict::kUndecided:
      return "undecided";
    case Verdict::kNotMeasured:
      return "not measured";
  }
  return "";
}

std::vector<GateResult> judge(const std::vector<Gate>& gates, const std::vector<Metric>& metrics) {
  std::vector<GateResult> results;
  for (const Gate& gate : gates) {
    GateResult result{gate, {}, Verdict::kNotMeasured};
    if (const Metric* metric = find(metrics, gate.metric)) {
      result.measured = metric->interval;
      result.verdict = judge_one(gate, metric->interval);
    }
    results.push_back(std::move(result));
  }
  return results;
}

bool acceptable(const std::vector<GateResult>& results, bool strict) {
  return std::all_of(results.begin(), results.end(), [&](const GateResult& r) {
    return r.verdict == Verdict::kPassed || (!strict && r.verdict != Verdict::kFailed);
  });
}

}  // namespace thimble::eval

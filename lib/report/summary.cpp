#include "report/summary.h"

#include <algorithm>
#include <cstdlib>
#include <map>

#include "support/text.h"
#include "tokenizer/unicode/unicode.h"

namespace thimble::report {
namespace {

// What XML can't say is U+FFFD: a file's name may have any bytes.
std::string xml(std::string_view text) {
  std::string out;
  for (const char32_t c : unicode::decode_utf8(text)) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        unicode::append_utf8(c < ' ' && c != '\t' && c != '\n' ? U'\ufffd' : c, out);
    }
  }
  return out;
}

std::string measured_text(const eval::GateResult& result) {
  if (result.verdict == eval::Verdict::kNotMeasured) return "-";
  return metric_text(result.gate.metric, result.measured.value);
}

// By how much the limit was missed or kept, as a share of the limit.
std::string margin_text(const eval::GateResult& result) {
  if (result.verdict == eval::Verdict::kNotMeasured || result.gate.limit == 0) return "-";
  const double share = (result.measured.value - result.gate.limit) / result.gate.limit * 100;
  return (share > 0 ? "+" : "") + format_fixed(share, 1) + " %";
}

std::string interval_text(const std::string& name, const eval::Interval& interval) {
  if (interval.low == interval.high) return "";
  return metric_text(name, interval.low) + " .. " + metric_text(name, interval.high);
}

}  // namespace

std::string metric_text(const std::string& name, double value) {
  const eval::MetricInfo info = eval::metric_info(name);
  if (info.unit == eval::MetricUnit::kBytes) return format_bytes(static_cast<std::uint64_t>(value));
  if (info.digits == 0) return format_significant(value);
  if (info.unit == eval::MetricUnit::kPercent) return format_fixed(value * 100, info.digits) + " %";
  const char* unit = info.unit == eval::MetricUnit::kDecibels ? " dB" : "";
  return format_fixed(value, info.digits) + unit;
}

Table gate_table(const std::vector<eval::GateResult>& results) {
  Table table({{"gate"}, {"verdict"}, {"measured", true}, {"margin", true}, {"95 % interval"}});
  for (const eval::GateResult& result : results) {
    table.add({result.gate.text, std::string(eval::verdict_name(result.verdict)),
               measured_text(result), margin_text(result),
               interval_text(result.gate.metric, result.measured)});
  }
  return table;
}

Table metric_table(const std::vector<eval::Metric>& metrics) {
  Table table({{"metric"}, {"value", true}, {"95 % interval"}});
  for (const eval::Metric& metric : metrics) {
    table.add({metric.name, metric_text(metric.name, metric.interval.value),
               interval_text(metric.name, metric.interval)});
  }
  return table;
}

namespace {

// The levels of a table make it wider than a terminal; the report has them.
std::string without_levels(const std::string& scheme) {
  const std::size_t levels = scheme.find(" table ");
  return levels == std::string::npos ? scheme : scheme.substr(0, levels) + " levels";
}

}  // namespace

Table tensor_table(const pass::Report& report, std::size_t count) {
  std::vector<const pass::TensorDecision*> decisions;
  for (const pass::PassReport& pass : report.passes) {
    for (const pass::TensorDecision& decision : pass.decisions) decisions.push_back(&decision);
  }
  std::stable_sort(decisions.begin(), decisions.end(), [](const auto* a, const auto* b) {
    return a->error.value_or(0) > b->error.value_or(0);
  });
  if (count > 0 && decisions.size() > count) decisions.resize(count);
  Table table({{"tensor"}, {"scheme"}, {"bits", true}, {"error", true}});
  for (const auto* decision : decisions) {
    table.add({decision->tensor, without_levels(decision->scheme),
               format_fixed(decision->bits_per_weight, 2),
               decision->error ? format_significant(*decision->error) : ""});
  }
  return table;
}

Table budget_table(const pass::Report& report) {
  const std::vector<pass::BudgetPoint>& front = report.budget.front;
  Table table({{"Budget"}, {"Bytes", true}, {"Predicted", true}, {"Measured", true}});
  const auto chosen = std::find_if(front.begin(), front.end(),
                                   [](const pass::BudgetPoint& point) { return point.chosen; });
  for (auto point = front.begin(); point != front.end(); ++point) {
    const bool near = std::abs(point - chosen) <= 3;
    if (!near && !point->measured) continue;
    table.add({point->chosen ? report.budget.budget : "", format_bytes(point->bytes),
               format_significant(point->predicted),
               point->measured ? format_significant(*point->measured) : "-"});
  }
  return table;
}

std::vector<std::string> finding_lines(const std::string& pass,
                                       std::span<const pass::Finding> findings) {
  constexpr std::size_t kEach = 3;   // of a kind are said one by one
  constexpr std::size_t kNamed = 3;  // of more, beside the first
  std::map<pass::FindingKind, std::vector<const pass::Finding*>> kinds;
  for (const pass::Finding& finding : findings) kinds[finding.kind].push_back(&finding);
  std::vector<std::string> lines;
  for (const auto& [kind, all] : kinds) {
    if (all.size() <= kEach || kind == pass::FindingKind::kNoEffect) {
      for (const pass::Finding* finding : all) lines.push_back(pass + ": " + finding->to_string());
      continue;
    }
    std::string line = pass + ": " + all.front()->to_string() + " (" +
                       std::string(pass::kind_name(kind)) + " in " +
                       std::to_string(all.size() - 1) + " more:";
    for (std::size_t i = 1; i <= kNamed; ++i) line += (i > 1 ? ", '" : " '") + all[i]->tensor + "'";
    lines.push_back(line + (all.size() - 1 > kNamed ? ", ...)" : ")"));
  }
  return lines;
}

std::string junit(const std::string& suite, const std::vector<eval::GateResult>& results,
                  bool strict) {
  std::size_t failures = 0;
  std::string cases;
  for (const eval::GateResult& result : results) {
    cases +=
        "    <testcase classname=\"" + xml(suite) + "\" name=\"" + xml(result.gate.text) + "\"";
    if (!eval::acceptable({result}, strict)) {
      ++failures;
      cases += ">\n      <failure message=\"" +
               xml(measured_text(result) + ", " + margin_text(result) + " from the limit") +
               "\"/>\n    </testcase>\n";
    } else if (result.verdict == eval::Verdict::kPassed) {
      cases += "/>\n";
    } else {
      cases += ">\n      <skipped message=\"" + std::string(eval::verdict_name(result.verdict)) +
               "\"/>\n    </testcase>\n";
    }
  }
  return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n  <testsuite name=\"" +
         xml(suite) + "\" tests=\"" + std::to_string(results.size()) + "\" failures=\"" +
         std::to_string(failures) + "\">\n" + cases + "  </testsuite>\n</testsuites>\n";
}

}  // namespace thimble::report

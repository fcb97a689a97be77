#pragma once
// Runs one pass over a graph's text: text in, text out.

#include <string>
#include <vector>

#include "calibrate/calibration.h"
#include "ir/model.h"
#include "pass/pass.h"
#include "passes/all.h"
#include "unit/catch.h"
#include "unit/ir/parsed.h"

namespace thimble::test {

inline pass::OptionValue word(std::string text) { return {std::move(text), {}}; }
inline pass::OptionValue number(std::int64_t value) { return {value, {}}; }
inline pass::OptionValue flag(bool value) { return {value, {}}; }
inline pass::OptionValue map(pass::OptionValue::Map entries) { return {std::move(entries), {}}; }
inline pass::OptionValue list(pass::OptionValue::List items) { return {std::move(items), {}}; }

struct PassRun {
  ir::Model model;
  pass::Report report;
  std::string error;  // empty: none
};

// What the i-th pass found, as text.
using Texts = std::vector<std::string>;
inline Texts findings_of(const PassRun& run, std::size_t pass) {
  Texts texts;
  for (const pass::Finding& finding : run.report.passes.at(pass).findings)
    texts.push_back(finding.to_string());
  return texts;
}

// A calibration, where one is given, holds nothing: enough for a pass that finds nothing to do.
inline PassRun run_pass(std::string_view name, std::string_view text,
                        const pass::OptionValue& options = map({}), bool calibrated = true) {
  PassRun run;
  run.model = inferred(text);
  const pass::Registration* registration = passes::find(name);
  REQUIRE(registration != nullptr);
  Expected<pass::Options> checked = pass::Options::check(registration->info.options, options);
  if (!checked) {
    run.error = checked.error().message;
    return run;
  }
  ThreadPool pool(1);
  Progress progress(Progress::Style::kQuiet);
  calibrate::Calibration nothing({});
  pass::Context context{pool, progress};
  if (calibrated) context.calibration = &nothing;
  const pass::Step step{registration, *checked};
  const Status status = pass::run_passes(run.model, {&step, 1}, context, {}, run.report);
  if (!status) run.error = status.error().message;
  return run;
}

}  // namespace thimble::test

// thimble check: gates and baselines on a file that exists already, for CI.

#include <algorithm>
#include <cstdio>

#include <nlohmann/json.hpp>

#include "eval/baseline.h"
#include "report/json.h"
#include "report/summary.h"
#include "support/atomic_file.h"
#include "support/text.h"
#include "tools/thimble/evaluation.h"
#include "tools/thimble/metadata.h"
#include "tools/thimble/open.h"
#include "tools/thimble/recipe_options.h"
#include "tools/thimble/speed.h"

namespace thimble::cli {
namespace {

struct CheckChoices {
  std::string file, baseline, junit, markdown;
  std::vector<std::string> gates;
  RecipeChoices recipe{.recipe = ""};
  TextChoices text;
  bool update = false;
  bool speed = false;
};

Expected<std::vector<eval::Gate>> gates_of(const CheckChoices& choices,
                                           EvaluationRequest& request) {
  std::vector<eval::Gate> gates;
  if (!choices.recipe.recipe.empty()) {
    THIMBLE_ASSIGN(const recipe::Recipe recipe, read_recipe(choices.recipe));
    gates = recipe.gates;
    if (!request.given()) {
      const runtime::SessionOptions session = request.session;
      request = request_of(recipe.evaluation, choices.text.windows);
      request.session = session;
    }
  }
  for (const std::string& text : choices.gates) {
    THIMBLE_ASSIGN(eval::Gate gate, eval::parse_gate(text, {.file = "--gate"}));
    gates.push_back(std::move(gate));
  }
  return gates;
}

void set(std::vector<eval::Metric>& metrics, eval::Metric metric) {
  std::erase_if(metrics, [&](const eval::Metric& m) { return m.name == metric.name; });
  metrics.push_back(std::move(metric));
}

struct MeasuredFile {
  std::vector<eval::Metric> metrics;
  std::vector<std::string> recorded;  // those that only the file tells, and not what was given
};

Expected<MeasuredFile> measure(const CheckChoices& choices, const Opened& opened,
                               EvaluationRequest& request, Environment& environment) {
  MeasuredFile out;
  std::vector<eval::Metric>& metrics = out.metrics;
  metrics = metrics_in(opened.bundle.metadata);
  for (const eval::Metric& metric : metrics) out.recorded.push_back(metric.name);
  if (request.given()) {
    THIMBLE_ASSIGN(const auto reference, open_reference(choices.text, environment));
    THIMBLE_ASSIGN(auto measured,
                   evaluate(opened.bundle, choices.file, reference ? &reference->bundle : nullptr,
                            request, environment));
    for (eval::Metric& metric : measured) {
      std::erase(out.recorded, metric.name);
      set(metrics, std::move(metric));
    }
  }
  const std::uint64_t bytes = opened.bundle.file_bytes;
  if (bytes > 0) set(metrics, {"size", eval::Interval::exact(static_cast<double>(bytes))});
  set(metrics, {"bits_per_weight", eval::Interval::exact(bits_per_weight(opened))});
  for (const char* own : {"size", "bits_per_weight"}) std::erase(out.recorded, own);
  return out;
}

Status add_speed(const Opened& opened, const runtime::SessionOptions& session,
                 std::vector<eval::Metric>& metrics, Environment& environment) {
  SpeedRequest request{session, {}, ranges_of(opened)};
  if (!opened.model) {
    THIMBLE_ASSIGN(request.sizes, dims_of(environment.globals));
  }
  auto measured = measure_speed(opened.bundle, request, environment);
  if (!measured) return std::move(measured).error().in(opened.path);
  for (eval::Metric& metric : *measured) set(metrics, std::move(metric));
  return ok();
}

// All that can be wrong with what is compared and written, before anything is measured.
Status check_files(const CheckChoices& choices, std::vector<eval::Gate>& gates) {
  if (choices.update && choices.baseline.empty())
    return Error(ErrorCode::kUsage, "--update-baseline needs --baseline FILE");
  if (!choices.update && !choices.baseline.empty()) {
    THIMBLE_ASSIGN(const std::vector<eval::Gate> kept, eval::read_baseline(choices.baseline));
    gates.insert(gates.end(), kept.begin(), kept.end());
  }
  for (const std::string& output :
       {choices.update ? choices.baseline : "", choices.junit, choices.markdown}) {
    if (!output.empty()) THIMBLE_TRY(check_writable(output));
  }
  return ok();
}

// What would give the metrics that weren't measured.
void tell_unmeasured(const std::vector<eval::GateResult>& results, Environment& environment) {
  const auto unmeasured = std::count_if(
      results.begin(), results.end(),
      [](const eval::GateResult& result) { return result.verdict == eval::Verdict::kNotMeasured; });
  if (unmeasured == 0 || environment.globals.quiet) return;
  environment.progress.message(
      "warning: " + std::to_string(unmeasured) + " of " + std::to_string(results.size()) +
      " gates not measured; --text or a data set, and --reference, would do that");
}

// A gate is judged by what compress measured on its own text, and not by what is given now.
void tell_recorded(const std::vector<eval::GateResult>& results,
                   const std::vector<std::string>& recorded, const CheckChoices& choices,
                   Environment& environment) {
  std::vector<std::string> names;
  for (const eval::GateResult& result : results) {
    const std::string& name = result.gate.metric;
    if (std::find(recorded.begin(), recorded.end(), name) == recorded.end()) continue;
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
  if (names.empty() || environment.globals.quiet) return;
  environment.progress.message(
      "warning: judged as compress measured it, not on what is given: " + join(names, ", ") +
      (choices.text.reference.empty() ? "; --reference MODEL would measure it" : ""));
}

Expected<int> run_check(const CheckChoices& choices, Environment& environment) {
  THIMBLE_ASSIGN(EvaluationRequest request, request_of(choices.text));
  THIMBLE_ASSIGN(std::vector<eval::Gate> gates, gates_of(choices, request));
  if (gates.empty() && choices.baseline.empty()) {
    return Error(ErrorCode::kUsage, "nothing to check")
        .fix("give a recipe with -r, a --gate, or a --baseline");
  }
  THIMBLE_TRY(check_files(choices, gates));
  const bool speed = choices.speed || ask_for_speed(gates);
  THIMBLE_ASSIGN(const Opened opened, speed ? open_whatever_dims(choices.file, environment)
                                            : open_any(choices.file, environment));
  THIMBLE_ASSIGN(MeasuredFile measured, measure(choices, opened, request, environment));
  std::vector<eval::Metric>& metrics = measured.metrics;
  if (speed) THIMBLE_TRY(add_speed(opened, request.session, metrics, environment));
  if (choices.update) {
    THIMBLE_TRY(eval::write_baseline(choices.baseline, metrics));
    if (gates.empty() && !environment.globals.json)
      std::printf("%s: written\n", choices.baseline.c_str());
  }
  const auto results = eval::judge(gates, metrics);
  const bool strict = environment.globals.strict;
  if (!choices.junit.empty())
    THIMBLE_TRY(write_file(choices.junit, report::junit(choices.file, results, strict)));
  if (!choices.markdown.empty())
    THIMBLE_TRY(write_file(choices.markdown, report::gate_table(results).to_markdown()));
  if (environment.globals.json) {
    report::Json out = report::document("check");
    out["file"] = choices.file;
    report::add_metrics(out, metrics);
    out["gates"] = report::gates(results);
    report::print(out);
  } else if (!results.empty()) {
    report::gate_table(results).print();
  }
  tell_unmeasured(results, environment);
  if (request.given()) tell_recorded(results, measured.recorded, choices, environment);
  return gate_status(results, strict);
}

}  // namespace

void add_check(CLI::App& app, Globals& globals, Selected& selected) {
  auto choices = std::make_shared<CheckChoices>();
  CLI::App* command = add_command(
      app, globals, selected, "check",
      "Check gates and baselines on a file (exit status 3 when one is not met)",
      "  thimble check out.thimble -r int4\n"
      "  thimble check out.thimble --gate 'size <= 90MB' --text t.txt --reference MODEL\n"
      "  thimble check out.thimble --baseline baseline.json --junit gates.xml",
      [choices](Environment& environment) { return run_check(*choices, environment); });
  add_file_argument(*command, choices->file);
  add_recipe_options(*command, choices->recipe, "");
  add_text_options(*command, choices->text);
  add_dim_option(*command, globals);
  command->add_option("--gate", choices->gates, "One more gate, as in 'size <= 90MB' (may repeat)")
      ->type_name("GATE")
      ->allow_extra_args(false);
  command->add_option("--baseline", choices->baseline, "Metrics with tolerances to compare with")
      ->type_name("JSON");
  command->add_flag("--update-baseline", choices->update,
                    "Write what was measured into the baseline");
  command->add_flag("--speed", choices->speed,
                    "Measure speed and memory, too: so does a gate on them");
  command->add_option("--junit", choices->junit, "Also write the verdicts as JUnit XML")
      ->type_name("FILE");
  command->add_option("--markdown", choices->markdown, "Also write the table as Markdown")
      ->type_name("FILE");
  command->add_flag("--strict", globals.strict, "Undecided and unmeasured gates fail, too");
}

}  // namespace thimble::cli

#include <algorithm>
#include <cstdio>

#include "pass/pass.h"
#include "support/stopwatch.h"

namespace thimble::pass {
namespace {

Status run_one(ir::Model& model, const Step& step, Context& context, Report& report) {
  const PassInfo& info = step.registration->info;
  report.passes.emplace_back();
  report.current().pass = info.name;
  report.current().options = step.options.listed();
  const Stopwatch stopwatch;
  const std::unique_ptr<Pass> pass = step.registration->make();
  THIMBLE_TRY(pass->configure(step.options));
  if (pass->leaves_open() && context.allocator == nullptr) {
    return Error(ErrorCode::kInvalidRecipe,
                 "the pass '" + info.name + "' leaves a choice to the budget, and there is none")
        .fix("add `budget: {size: 60MB}` to the recipe, or give numbers in place of 'auto'");
  }
  if (pass->needs_calibration() && context.calibration == nullptr && !context.dry_run) {
    return Error(ErrorCode::kInvalidRecipe, "the pass '" + info.name + "' needs a calibration")
        .fix("add `calibrate: {text: FILE}` to the recipe, or give --calibrate FILE");
  }
  if (Status status = pass->run(model, context, report); !status) {
    return std::move(status).error().note("in pass '" + info.name + "'");
  }
  report.current().seconds = stopwatch.seconds();
  if (const Status verified = ir::verify(model); !verified) {
    THIMBLE_CHECK(false,
                  "pass '" + info.name + "' broke the model: " + verified.error().to_string());
  }
  if (context.strict && !report.current().findings.empty())
    return strict_error(report.current().findings, info.name);
  return ok();
}

// The first step whose pass, once configured, says yes; null: none does.
const Step* first_that(std::span<const Step> steps, bool (Pass::*says)() const) {
  for (const Step& step : steps) {
    const std::unique_ptr<Pass> pass = step.registration->make();
    if (pass->configure(step.options) && (*pass.*says)()) return &step;
  }
  return nullptr;
}

}  // namespace

const Step* first_calibrated(std::span<const Step> steps) {
  return first_that(steps, &Pass::needs_calibration);
}

const Step* first_open(std::span<const Step> steps) {
  return first_that(steps, &Pass::leaves_open);
}

std::vector<Step> wanted_steps(std::span<const Step> steps, const ManagerOptions& options) {
  std::vector<Step> wanted;
  for (const Step& step : steps) {
    const std::string& name = step.registration->info.name;
    const auto& off = options.disable;
    if (std::find(off.begin(), off.end(), name) == off.end()) wanted.push_back(step);
    if (options.stop_after == name) break;
  }
  return wanted;
}

Status run_passes(ir::Model& model, std::span<const Step> steps, Context& context,
                  const ManagerOptions& options, Report& report) {
  for (const Step& step : wanted_steps(steps, options)) {
    const std::string& name = step.registration->info.name;
    THIMBLE_TRY(run_one(model, step, context, report));
    if (options.print_after == name || options.print_after == "*") {
      std::fprintf(stderr, "// after %s\n%s", name.c_str(), ir::print(model).c_str());
    }
  }
  return ok();
}

}  // namespace thimble::pass

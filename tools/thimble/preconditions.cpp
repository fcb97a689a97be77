#include "tools/thimble/preconditions.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "lower/lower.h"
#include "runtime/generate.h"
#include "support/system.h"
#include "support/text.h"
#include "tools/thimble/open.h"

namespace thimble::cli {
namespace {

// Weights by name, of those that are more than one number.
std::set<std::string> real_weights(const ir::Model& model) {
  std::set<std::string> names;
  for (const ir::ValueId constant : model.graph.constants()) {
    const ir::Weight& weight = model.weight(model.graph.value(constant).weight);
    if (ir::dtype_is_float(weight.dtype) && weight.element_count() > 1) names.insert(weight.name);
  }
  return names;
}

// A format that holds weights and no graph can't say what a pass added.
Status check_same_weights(const ir::Model& before, const ir::Model& after,
                          const formats::Target& target) {
  const std::set<std::string> known = real_weights(before);
  for (const std::string& name : real_weights(after)) {
    if (known.contains(name)) continue;
    return unsupported("a pass adds this tensor to the graph, and " + target.format +
                       " holds weights alone")
        .at_tensor(name)
        .fix("leave out the pass, or write .thimble or ONNX");
  }
  return ok();
}

}  // namespace

Status check_output(const std::string& output, const formats::Target& target,
                    const std::string& source) {
  if (output.empty() || output == "-") {
    return Error(ErrorCode::kUsage, "an output needs a name: it takes its place when it is whole")
        .fix("name a file or folder; ./- is one of that name");
  }
  std::filesystem::path path(output);
  if (!path.has_filename()) path = path.parent_path();  // a slash at the end
  std::error_code error;
  const bool folder = target.format == "safetensors";
  if (!folder && std::filesystem::is_directory(path, error)) {
    return Error(ErrorCode::kUsage, "the output '" + output + "' is a folder")
        .fix("name a file, such as " + output + "/model." + target.format);
  }
  if (folder && std::filesystem::is_regular_file(path, error)) {
    return Error(ErrorCode::kUsage, "the output '" + output + "' is a file")
        .fix("name a folder for safetensors, or end the name in .thimble, .gguf or .onnx");
  }
  if (std::filesystem::equivalent(path, source, error)) {
    return Error(ErrorCode::kUsage, "the output is the source")
        .in(output)
        .fix("give the output another name");
  }
  const auto parent = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  if (std::filesystem::is_regular_file(parent, error))
    return Error(ErrorCode::kUsage, "'" + parent.string() + "' is a file, not a folder");
  if (!std::filesystem::is_directory(parent, error)) {
    return not_found("no folder '" + parent.string() + "' for the output")
        .fix("mkdir -p " + parent.string());
  }
  return ok();
}

Status check_passes(const recipe::Recipe& recipe, const pass::ManagerOptions& manager) {
  std::vector<std::string> known;
  for (const pass::Step& step : recipe.passes) known.push_back(step.registration->info.name);
  std::vector<std::pair<std::string, std::string>> named = {
      {"--stop-after", manager.stop_after},
      {"--print-after", manager.print_after == "*" ? "" : manager.print_after}};
  for (const std::string& pass : manager.disable) named.emplace_back("--disable-pass", pass);
  for (const auto& [option, pass] : named) {
    if (pass.empty() || std::find(known.begin(), known.end(), pass) != known.end()) continue;
    return Error(ErrorCode::kUsage, option + ": the recipe has no pass '" + pass + "'" +
                                        suggestion(pass, known, "its passes"));
  }
  return ok();
}

Status check_target(const Prepared& prepared, const recipe::Recipe& recipe,
                    const pass::ManagerOptions& manager, const formats::Target& target,
                    bool budgeted, Environment& environment) {
  if (is_thimble_target(target)) return ok();
  if (target.format == "safetensors" && recipe.budget.kind == pass::BudgetKind::kSize) {
    return Error(ErrorCode::kUsage,
                 "a folder of safetensors has floats, so its size can't be chosen")
        .fix("give a budget in bits_per_weight or kl_mean, or write .thimble, GGUF or ONNX");
  }
  Prepared trial;
  trial.original = prepared.original;
  trial.model = prepared.original;
  if (!budgeted) {
    pass::Context context{environment.pool, environment.progress, recipe.seed, false};
    context.dry_run = true;
    THIMBLE_TRY(pass::run_passes(trial.model, recipe.passes, context, manager, trial.report));
  }
  THIMBLE_TRY(formats::check_writable(trial.model, target));
  return target.format == "onnx" ? ok()
                                 : check_same_weights(prepared.original, trial.model, target);
}

Status check_evaluation(const Prepared& prepared, const EvaluationRequest& request) {
  const ir::Model& model = prepared.original;
  if (request.text.empty() || model.task != ir::Task::kGenerate) return ok();
  THIMBLE_ASSIGN(const lower::Lowered lowered, lower::lower(model));
  return runtime::check_positions(lowered.program, request.windows.context);
}

Status check_memory(const Environment& environment, std::uint64_t needed) {
  std::uint64_t limit = system::memory_limit();
  if (!environment.globals.max_memory.empty()) {
    THIMBLE_ASSIGN(limit, size_option(environment.globals.max_memory, "--max-memory"));
  }
  if (needed <= limit) return ok();
  return Error(ErrorCode::kResource, "this takes about " + format_bytes(needed) +
                                         " of memory and " + format_bytes(limit) + " is allowed")
      .fix("use fewer --threads, or allow more with --max-memory");
}

}  // namespace thimble::cli

// thimble compress: model and recipe in, a gated and measured .thimble out.

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "eval/score.h"
#include "formats/thimble/writer.h"
#include "report/json.h"
#include "report/summary.h"
#include "support/atomic_file.h"
#include "support/hash.h"
#include "support/system.h"
#include "support/text.h"
#include "tools/thimble/budget.h"
#include "tools/thimble/calibration.h"
#include "tools/thimble/evaluation.h"
#include "tools/thimble/open.h"
#include "tools/thimble/pipeline.h"
#include "tools/thimble/recipe_options.h"

namespace thimble::cli {
namespace {

struct Choices {
  std::string model, output, text, calibrate;
  std::int64_t context = 0;  // 0: the recipe's
  std::int64_t max_windows = 0;
  RecipeChoices recipe;
  pass::ManagerOptions manager;
  bool force = false;
};

// Everything that decides the output's bytes.
std::string fingerprint(const recipe::Recipe& recipe, const Prepared& prepared,
                        const Choices& choices, const std::string& text_digest,
                        const std::string& calibration_digest, const std::string& tune) {
  Hasher hasher;
  hasher.update("thimble " THIMBLE_VERSION "\n" + prepared.source_digest + "\n" + recipe.text +
                "\n" + text_digest + "\n" + calibration_digest);
  hasher.update("\n" + std::to_string(choices.context) + " " + std::to_string(choices.max_windows));
  if (recipe.budget.kind != pass::BudgetKind::kNone)
    hasher.update("\n" + recipe.budget.text + "\n" + digest_of(tune).hex());
  for (const std::string& setting : choices.recipe.set) hasher.update("\n" + setting);
  for (const std::string& variable : choices.recipe.variables) hasher.update("\n" + variable);
  for (const std::string& pass : choices.manager.disable) hasher.update("\nwithout " + pass);
  if (!choices.manager.stop_after.empty()) hasher.update("\nup to " + choices.manager.stop_after);
  const auto dims = prepared.original.metadata.find(std::string(ir::kDimRangesKey));
  if (dims != prepared.original.metadata.end()) hasher.update("\nsizes " + dims->second);
  return hasher.finish().hex();
}

std::string metadata_value(const program::Bundle& bundle, std::string_view key) {
  for (const auto& [name, value] : bundle.metadata) {
    if (name == key) return value;
  }
  return "";
}

bool up_to_date(const std::string& path, const std::string& wanted) {
  if (!is_thimble(path)) return false;
  const auto bundle = program::open_thimble(path);
  return bundle && metadata_value(*bundle, "thimble.fingerprint") == wanted;
}

// Deterministic facts only: no times, paths, threads or dates.
program::Metadata provenance(const Prepared& prepared, const recipe::Recipe& recipe,
                             const std::string& print) {
  program::Metadata metadata = {{"thimble.version", THIMBLE_VERSION},
                                {"thimble.fingerprint", print},
                                {"thimble.recipe", recipe.text},
                                {"source.format", prepared.original.source_format},
                                {"source.architecture", prepared.original.architecture},
                                {"source.digest", prepared.source_digest}};
  for (const auto& [key, value] : prepared.original.metadata)
    metadata.emplace_back("model." + key, value);
  return metadata;
}

void add_metrics(program::Metadata& metadata, const std::vector<eval::Metric>& metrics) {
  for (const eval::Metric& metric : metrics)
    metadata.emplace_back("metric." + metric.name, report::significant(metric.interval.value, 9));
}

// The size of the file that will hold this metadata and, among it, that size. A header that grows
// with the number's digits settles at once; should it ever swing between two sizes, the larger
// counts.
std::uint64_t add_size(program::Metadata& metadata, const formats::ThimbleWriter& writer) {
  metadata.emplace_back("metric.size", "");
  std::uint64_t size = 0;
  for (int turn = 0; turn < 4; ++turn) {
    const std::uint64_t next = writer.file_bytes_with(metadata);
    if (next <= size) break;
    size = next;
    metadata.back().second = std::to_string(size);
  }
  return size;
}

struct Outcome {
  std::vector<eval::Metric> metrics;
  std::vector<eval::GateResult> gates;
  bool evaluated = false;
};

void print_outcome(const Choices& choices, const Prepared& prepared, const program::Bundle& bundle,
                   const Outcome& outcome, int width) {
  const std::uint64_t before = prepared.original.weight_bytes();
  const std::uint64_t after = payload_bytes(bundle);
  std::printf("%s: %s -> %s (%.2fx smaller), %.3f bits per weight\n", choices.output.c_str(),
              format_bytes(before).c_str(), format_bytes(after).c_str(),
              static_cast<double>(before) / static_cast<double>(std::max<std::uint64_t>(after, 1)),
              bits_per_weight(bundle));
  if (outcome.evaluated)
    std::printf("\n%s", report::metric_table(outcome.metrics).to_text(width).c_str());
  if (!prepared.report.budget.budget.empty())
    std::printf("\n%s", report::budget_table(prepared.report).to_text(width).c_str());
  if (!outcome.gates.empty())
    std::printf("\n%s", report::gate_table(outcome.gates).to_text(width).c_str());
  const bool failed = !eval::acceptable(outcome.gates, false);
  if (failed)
    std::printf("\nThe tensors that lost most:\n%s",
                report::tensor_table(prepared.report, 8).to_text(width).c_str());
}

report::Json outcome_json(const Choices& choices, const Prepared& prepared,
                          const program::Bundle& bundle, const Outcome& outcome,
                          std::uint64_t file_bytes, double seconds) {
  report::Json out = report::document("compress");
  out["output"] = choices.output;
  out["file_bytes"] = file_bytes;
  out["payload_bytes"] = payload_bytes(bundle);
  out["bits_per_weight"] = bits_per_weight(bundle);
  report::add_metrics(out, outcome.metrics);
  out["gates"] = report::gates(outcome.gates);
  out["tensors"] = report::tensors(prepared.report);
  out["passes"] = report::passes(prepared.report);
  report::add_budget(out, prepared.report);
  out["peak_rss_bytes"] = system::peak_rss_bytes();
  out["seconds"] = seconds;
  return out;
}

Status check_output(const Choices& choices) {
  const std::filesystem::path path(choices.output);
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    return Error(ErrorCode::kUsage, "the output '" + choices.output + "' is a folder")
        .fix("name a file, such as " + choices.output + "/model.thimble");
  }
  const auto parent = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  if (!std::filesystem::is_directory(parent, error)) {
    return not_found("no folder '" + parent.string() + "' for the output")
        .fix("mkdir -p " + parent.string());
  }
  return ok();
}

Status check_memory(const Environment& environment, const ir::Model& model,
                    std::int64_t calibrated) {
  std::uint64_t limit = system::memory_limit();
  if (!environment.globals.max_memory.empty()) {
    THIMBLE_ASSIGN(limit, size_option(environment.globals.max_memory, "--max-memory"));
  }
  const std::uint64_t needed = working_memory(model, environment.pool.threads(), calibrated);
  if (needed <= limit) return ok();
  return Error(ErrorCode::kResource, "this takes about " + format_bytes(needed) +
                                         " of memory and " + format_bytes(limit) + " is allowed")
      .fix("use fewer --threads, or allow more with --max-memory");
}

Expected<Outcome> evaluate_artifact(const Choices& choices, const recipe::Recipe& recipe,
                                    const Prepared& prepared, const program::Bundle& artifact,
                                    Environment& environment) {
  Outcome outcome;
  EvaluationRequest request;
  request.text = choices.text.empty() ? recipe.evaluation.text : choices.text;
  if (choices.text.empty()) request.data = recipe.evaluation.data;
  if (request.given()) {
    THIMBLE_ASSIGN(const program::Bundle reference,
                   lower::load(prepared.original, environment.pool));
    request.windows = {recipe.evaluation.context, recipe.evaluation.stride,
                       recipe.evaluation.max_windows};
    if (choices.context > 0) request.windows.context = choices.context;
    if (choices.max_windows > 0) request.windows.max_windows = choices.max_windows;
    request.weights = true;
    THIMBLE_ASSIGN(outcome.metrics,
                   evaluate(artifact, choices.output, &reference, request, environment));
    outcome.evaluated = true;
  }
  const double bits = bits_per_weight(artifact);
  outcome.metrics.push_back({"bits_per_weight", {bits, bits, bits}});
  return outcome;
}

Status write_report(const std::string& path, const report::Json& json) {
  THIMBLE_ASSIGN(const auto file, AtomicFile::create(path));
  THIMBLE_TRY(file->append(json.dump(2) + "\n"));
  return file->commit();
}

Expected<int> say_up_to_date(const Choices& choices, const Globals& globals) {
  if (globals.json) {
    report::Json out = report::document("compress");
    out["output"] = choices.output;
    out["up_to_date"] = true;
    std::printf("%s\n", out.dump(2).c_str());
  } else {
    std::printf("%s: up to date\n", choices.output.c_str());
  }
  return 0;
}

Expected<int> run(const Choices& choices, Environment& environment) {
  const auto start = std::chrono::steady_clock::now();
  THIMBLE_ASSIGN(const recipe::Recipe recipe, read_recipe(choices.recipe));
  THIMBLE_ASSIGN(const std::string path, model_of(choices.model, recipe));
  if (is_thimble(path)) {
    return invalid_argument("a .thimble is a target and can't be compressed again")
        .in(path)
        .fix("compress the model that it was made from");
  }
  THIMBLE_TRY(check_output(choices));
  THIMBLE_ASSIGN(const auto calibration,
                 find_calibration(choices.calibrate, recipe, choices.manager));
  std::string tune;
  const bool budgeted = has_budget(recipe, choices.manager);
  if (budgeted) {
    THIMBLE_ASSIGN(tune, tune_text(recipe, choices.manager));
  }
  THIMBLE_ASSIGN(Prepared prepared, read_original(path, environment));
  THIMBLE_TRY(check_sha256(prepared.original, recipe, environment));
  THIMBLE_TRY(check_memory(environment, prepared.original, calibration ? calibration->tokens : 0));
  THIMBLE_ASSIGN(prepared.source_digest, digest_of_source(prepared.original, environment));
  const std::string text = choices.text.empty() ? recipe.evaluation.text : choices.text;
  std::string text_digest;
  if (!text.empty()) {
    THIMBLE_ASSIGN(const std::string content, data::read_text(text));
    text_digest = digest_of(content).hex();
  } else if (!recipe.evaluation.data.empty()) {
    THIMBLE_ASSIGN(text_digest, recipe::digest_of(recipe.evaluation.data));
  }
  const std::string calibration_digest = calibration ? calibration->digest : "";
  const std::string print =
      fingerprint(recipe, prepared, choices, text_digest, calibration_digest, tune);
  if (!choices.force && up_to_date(choices.output, print))
    return say_up_to_date(choices, environment.globals);

  std::unique_ptr<calibrate::Calibration> calibrated;
  std::unique_ptr<calibrate::Journal> journal;
  if (calibration || budgeted) {
    THIMBLE_ASSIGN(journal, calibrate::Journal::open(choices.output + ".work", print));
  }
  if (calibration) {
    THIMBLE_ASSIGN(calibrated,
                   make_calibration(prepared.original, recipe, *calibration, environment.pool));
    calibrated->set_journal(std::move(journal));
  }
  const calibrate::Journal* kept = calibrated ? calibrated->journal() : journal.get();
  const PassRequest passes{
      .manager = choices.manager, .calibration = calibrated.get(), .journal = kept};
  THIMBLE_TRY(budgeted
                  ? run_to_budget(prepared, recipe,
                                  {passes, tune, provenance(prepared, recipe, print)}, environment)
                  : run_recipe(prepared, recipe, passes, environment));
  THIMBLE_ASSIGN(lower::Lowered lowered, lower::lower(prepared.model));
  lowered.program.cache = cache_type(recipe, prepared.model);
  program::Metadata metadata = provenance(prepared, recipe, print);
  THIMBLE_ASSIGN(const auto writer,
                 formats::ThimbleWriter::create(choices.output, std::move(lowered),
                                                lower::describe(prepared.model)));
  THIMBLE_TRY(writer->write_payloads(environment.pool, environment.progress));
  collect_errors(prepared.model, prepared.report);
  THIMBLE_ASSIGN(const program::Bundle artifact, writer->open_partial(metadata));
  THIMBLE_ASSIGN(Outcome outcome,
                 evaluate_artifact(choices, recipe, prepared, artifact, environment));
  if (budgeted) THIMBLE_TRY(verify_budget(prepared, recipe, tune, artifact, environment));
  add_metrics(metadata, outcome.metrics);
  const auto size = static_cast<double>(add_size(metadata, *writer));
  outcome.metrics.push_back({"size", {size, size, size}});
  outcome.gates = eval::judge(recipe.gates, outcome.metrics);
  THIMBLE_TRY(writer->finish(std::move(metadata)));
  if (kept != nullptr) THIMBLE_TRY(kept->remove());

  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const report::Json json =
      outcome_json(choices, prepared, artifact, outcome, writer->file_bytes(), seconds);
  THIMBLE_TRY(write_report(choices.output + ".report.json", json));
  if (environment.globals.json) {
    std::printf("%s\n", json.dump(2).c_str());
  } else {
    print_outcome(choices, prepared, artifact, outcome, system::terminal_width(STDOUT_FILENO));
  }
  return eval::acceptable(outcome.gates, environment.globals.strict)
             ? 0
             : exit_status(ErrorCode::kGateFailed);
}

}  // namespace

void add_compress(CLI::App& app, Globals& globals, Selected& selected) {
  auto choices = std::make_shared<Choices>();
  CLI::App* command =
      add_command(app, globals, selected, "compress",
                  "Compress a model as a recipe says, check its gates, write a .thimble",
                  "  thimble compress MODEL -o out.thimble\n"
                  "  thimble compress MODEL -r int3-mixed --text score.txt -o out.thimble\n"
                  "  thimble compress MODEL --set quantize-weights.bits=3 -o out.thimble\n"
                  "  thimble compress MODEL --size 60MB --tune tune.txt -o out.thimble",
                  [choices](Environment& environment) { return run(*choices, environment); });
  command->add_option("MODEL", choices->model,
                      "A Hugging Face folder or hub name, or a GGUF file; or the recipe's");
  command
      ->add_option("-o,--output", choices->output,
                   "The .thimble to write; its report goes beside it")
      ->required()
      ->type_name("FILE");
  add_dim_option(*command, globals);
  add_recipe_options(*command, choices->recipe);
  add_budget_options(*command, choices->recipe);
  command
      ->add_option("--calibrate", choices->calibrate,
                   "Text to calibrate on, in place of the recipe's")
      ->type_name("FILE");
  command->add_option("--text", choices->text, "Text to evaluate on, in place of the recipe's")
      ->type_name("FILE");
  command
      ->add_option("--context", choices->context,
                   "Tokens of a window of that text, in place of the recipe's")
      ->check(CLI::Range(8, 1 << 20))
      ->type_name("N");
  command->add_option("--max-windows", choices->max_windows, "Evaluate on this many windows only")
      ->check(CLI::Range(1, 1 << 30))
      ->type_name("N");
  command->add_option("--max-memory", globals.max_memory, "Refuse to start if more would be needed")
      ->type_name("SIZE");
  command->add_option("--disable-pass", choices->manager.disable, "Leave a pass out")
      ->type_name("PASS")
      ->allow_extra_args(false);
  command
      ->add_option("--print-after", choices->manager.print_after,
                   "Print the graph after a pass (*: each)")
      ->type_name("PASS");
  command
      ->add_option("--stop-after", choices->manager.stop_after,
                   "Leave out the passes after this one")
      ->type_name("PASS");
  command->add_flag("--force", choices->force, "Write even when the output is up to date");
  command->add_flag("--strict", globals.strict,
                    "Make every fallback, warning and undecided gate an error");
}

}  // namespace thimble::cli

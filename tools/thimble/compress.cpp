// thimble compress: model and recipe in, a gated and measured .thimble out.

#include <cstdio>
#include <filesystem>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "formats/thimble/writer.h"
#include "report/summary.h"
#include "support/atomic_file.h"
#include "support/stopwatch.h"
#include "support/system.h"
#include "support/text.h"
#include "tools/thimble/budget.h"
#include "tools/thimble/compress_job.h"
#include "tools/thimble/evaluation.h"
#include "tools/thimble/metadata.h"
#include "tools/thimble/open.h"
#include "tools/thimble/speed.h"
#include "tools/thimble/written.h"

namespace thimble::cli {
namespace {

// Deterministic facts only: no times, paths, threads or dates.
program::Metadata provenance(const Prepared& prepared, const recipe::Recipe& recipe,
                             const std::string& fingerprint) {
  program::Metadata metadata = metadata_of(prepared.original);
  metadata.emplace_back(kFingerprintKey, fingerprint);
  metadata.emplace_back("thimble.recipe", recipe.text);
  metadata.emplace_back("source.digest", prepared.source_digest);
  return metadata;
}

// The size of the file that will hold this metadata and, among it, that size. A header that grows
// with the number's digits settles at once; should it ever swing between two sizes, the larger
// counts.
std::uint64_t add_size(program::Metadata& metadata, const formats::ThimbleWriter& writer) {
  metadata.emplace_back(metric_key("size"), "");
  std::uint64_t size = 0;
  for (int turn = 0; turn < 4; ++turn) {
    const std::uint64_t next = writer.file_bytes_with(metadata);
    if (next <= size) break;
    size = next;
    metadata.back().second = std::to_string(size);
  }
  return size;
}

// Of the target, and of what was measured.
struct Outcome {
  Written written;
  std::uint64_t payload = 0;  // bytes of weights
  double bits = 0;            // of a weight
  std::vector<eval::Metric> metrics;
  std::vector<eval::GateResult> gates;
  bool evaluated = false;
  report::Json json;  // the report
};

void print_outcome(const CompressChoices& choices, const Job& job, const Outcome& outcome,
                   int width) {
  const Prepared& prepared = job.prepared;
  const std::uint64_t before = prepared.original.weight_bytes();
  const std::uint64_t after = outcome.written.bytes > 0 ? outcome.written.bytes : outcome.payload;
  std::printf("%s: %s -> %s (%.2fx smaller), %.3f bits per weight%s\n", choices.output.c_str(),
              format_bytes(before).c_str(), format_bytes(after).c_str(),
              static_cast<double>(before) / static_cast<double>(std::max<std::uint64_t>(after, 1)),
              outcome.bits, formats::writes_floats(job.target) ? " as a .thimble" : "");
  if (outcome.evaluated)
    std::printf("\n%s", report::metric_table(outcome.metrics).to_text(width).c_str());
  if (!prepared.report.budget.budget.empty())
    std::printf("\n%s", report::budget_table(prepared.report).to_text(width).c_str());
  if (!outcome.gates.empty())
    std::printf("\n%s", report::gate_table(outcome.gates).to_text(width).c_str());
  if (eval::acceptable(outcome.gates, false)) return;
  const report::Table lost = report::tensor_table(prepared.report, 8);
  if (!lost.empty()) std::printf("\nThe tensors that lost most:\n%s", lost.to_text(width).c_str());
}

report::Json outcome_json(const CompressChoices& choices, const Prepared& prepared,
                          const std::string& fingerprint, const Outcome& outcome,
                          std::uint64_t file_bytes, double seconds) {
  report::Json out = report::document("compress");
  out["output"] = choices.output;
  if (!outcome.written.digest.empty()) {
    out["fingerprint"] = fingerprint;
    out["output_digest"] = outcome.written.digest;
  }
  out["file_bytes"] = file_bytes;
  out["payload_bytes"] = outcome.payload;
  out["bits_per_weight"] = outcome.bits;
  report::add_metrics(out, outcome.metrics);
  out["gates"] = report::gates(outcome.gates);
  out["tensors"] = report::tensors(prepared.report);
  out["passes"] = report::passes(prepared.report);
  out["findings"] = report::findings(prepared.report);
  report::add_budget(out, prepared.report);
  out["peak_rss_bytes"] = system::peak_rss_bytes();
  out["seconds"] = seconds;
  return out;
}

Expected<Outcome> evaluate_artifact(const CompressChoices& choices, const Job& job,
                                    const program::Bundle& artifact, Environment& environment) {
  const Prepared& prepared = job.prepared;
  Outcome outcome;
  const EvaluationRequest request = request_of(job.recipe.evaluation, choices.windows);
  if (request.given()) {
    THIMBLE_ASSIGN(const program::Bundle reference,
                   lower::load(prepared.original, environment.pool));
    THIMBLE_ASSIGN(outcome.metrics,
                   evaluate(artifact, choices.output, &reference, request, environment));
    outcome.evaluated = true;
  }
  THIMBLE_ASSIGN(outcome.payload, payload_bytes(prepared.model, job.target));
  outcome.bits = bits_per_weight(outcome.payload, artifact.parameters);
  outcome.metrics.push_back({"bits_per_weight", eval::Interval::exact(outcome.bits)});
  return outcome;
}

// Where it can't be measured the gates say so.
void add_speed(const Job& job, const program::Bundle& artifact, Outcome& outcome,
               Environment& environment) {
  const SpeedRequest request{.ranges = ir::dim_ranges(job.prepared.model.metadata)};
  auto measured = measure_speed(artifact, request, environment);
  if (measured) {
    outcome.metrics.insert(outcome.metrics.end(), measured->begin(), measured->end());
  } else if (!environment.globals.quiet) {
    environment.progress.message("warning: speed not measured: " + measured.error().message);
  }
}

// A gate that was not met is no more so for the file's being there.
int say_up_to_date(const CompressChoices& choices, report::Json report, const Globals& globals) {
  const std::vector<eval::GateResult> gates = report::read_gates(report);
  if (globals.json) {
    report["up_to_date"] = true;
    report::print(report);
  } else {
    std::printf("%s: up to date\n", choices.output.c_str());
    if (gate_status(gates, globals.strict) != 0) {
      const int width = system::terminal_width(STDOUT_FILENO);
      std::printf("\n%s", report::gate_table(gates).to_text(width).c_str());
    }
  }
  return gate_status(gates, globals.strict);
}

// Writes the target where it is no .thimble. What it holds is measured as the .thimble of the same
// graph, which goes when it is done.
Status write_target(Job& job, const CompressChoices& choices, const program::Metadata& metadata,
                    Environment& environment, Written& written) {
  THIMBLE_TRY(formats::write_model(job.prepared.model, choices.output,
                                   with_provenance(job.target, metadata), environment.pool,
                                   environment.progress));
  THIMBLE_ASSIGN(written, written_at(choices.output));
  return ok();
}

// Refuses an impossible budget before the model writes what it is measured on.
Status check_possible(const Job& job, const CompressChoices& choices, PassRequest passes,
                      Environment& environment) {
  passes.dry_run = true;
  BudgetRequest request{.passes = passes,
                        .metadata = provenance(job.prepared, job.recipe, job.fingerprint),
                        .target = job.target,
                        .output = choices.output};
  request.only_possible = true;
  Prepared trial = job.prepared;
  return run_to_budget(trial, job.recipe, request, environment);
}

Status run_passes_of(Job& job, const CompressChoices& choices, const PassRequest& passes,
                     const calibrate::Journal* journal, Environment& environment) {
  if (!job.budgeted) return run_recipe(job.prepared, job.recipe, passes, environment);
  if (job.recipe.tune.text.empty() && job.recipe.tune.data.empty()) {
    THIMBLE_TRY(check_possible(job, choices, passes, environment));
    THIMBLE_ASSIGN(job.tune, write_tune(job.recipe, job.prepared.original, journal, environment));
  }
  std::unique_ptr<calibrate::Journal> measurements;
  if (!choices.measurements.empty()) {
    THIMBLE_ASSIGN(
        measurements,
        open_journal(choices.measurements + "/" + job.measurements_fingerprint,
                     job.measurements_fingerprint, calibrate::Journal::Use::kShared, environment));
  }
  BudgetRequest request{passes,
                        job.tune,
                        provenance(job.prepared, job.recipe, job.fingerprint),
                        measurements ? measurements.get() : journal,
                        job.target,
                        choices.output};
  request.passes.target_holds = [&](const ir::Weight& weight) {
    return formats::holds(weight, job.target);
  };
  return run_to_budget(job.prepared, job.recipe, request, environment);
}

// Writes and measures what the passes made. The work began with the stopwatch.
Expected<Outcome> write_and_measure(Job& job, const CompressChoices& choices,
                                    Environment& environment, const Stopwatch& stopwatch) {
  Prepared& prepared = job.prepared;
  const bool own = is_thimble_target(job.target);
  THIMBLE_ASSIGN(lower::Lowered lowered, lower::lower(prepared.model));
  set_caches(job.recipe, prepared.model, lowered.program);
  program::Metadata metadata = provenance(prepared, job.recipe, job.fingerprint);
  THIMBLE_ASSIGN(const auto writer, formats::ThimbleWriter::create(
                                        own ? choices.output : choices.output + ".thimble",
                                        std::move(lowered), lower::describe(prepared.model)));
  THIMBLE_TRY(writer->write_payloads(environment.pool, environment.progress));
  THIMBLE_TRY(collect_losses(prepared.model, prepared.report, environment));
  THIMBLE_ASSIGN(const program::Bundle artifact, writer->open_partial(metadata));
  THIMBLE_ASSIGN(Outcome outcome, evaluate_artifact(choices, job, artifact, environment));
  if (job.budgeted) {
    THIMBLE_TRY(verify_budget(prepared, job.recipe, job.tune, artifact, environment));
  }
  add_metrics(metadata, outcome.metrics);
  // Later, for the file has no figures that are this machine's alone.
  if (ask_for_speed(job.recipe.gates)) add_speed(job, artifact, outcome, environment);
  std::uint64_t size = 0;
  if (own) {
    size = add_size(metadata, *writer);
    std::error_code error;
    std::filesystem::remove(choices.output + ".report.json", error);  // it tells of the file before
    THIMBLE_TRY(writer->finish(std::move(metadata)));
  } else {
    THIMBLE_TRY(write_target(job, choices, metadata, environment, outcome.written));
    size = outcome.written.bytes;
  }
  outcome.metrics.push_back({"size", eval::Interval::exact(static_cast<double>(size))});
  outcome.gates = eval::judge(job.recipe.gates, outcome.metrics);
  outcome.json = outcome_json(choices, prepared, job.fingerprint, outcome,
                              own ? writer->file_bytes() : size, stopwatch.seconds());
  THIMBLE_TRY(write_file(choices.output + ".report.json", report::to_text(outcome.json)));
  if (!environment.globals.json)
    print_outcome(choices, job, outcome, system::terminal_width(STDOUT_FILENO));
  return outcome;
}

// Calibrates, runs the passes, writes and measures, with what the journal keeps of it.
Expected<Outcome> work_on(Job& job, const CompressChoices& choices,
                          const std::shared_ptr<calibrate::Journal>& journal,
                          Environment& environment, const Stopwatch& stopwatch) {
  std::unique_ptr<calibrate::Calibration> calibrated;
  if (job.calibration) {
    THIMBLE_ASSIGN(calibrated, make_calibration(job.prepared.original, job.recipe, *job.calibration,
                                                journal.get(), environment));
    calibrated->set_journal(journal);
  }
  THIMBLE_TRY(run_passes_of(job, choices,
                            {.manager = choices.manager, .calibration = calibrated.get()},
                            journal.get(), environment));
  return write_and_measure(job, choices, environment, stopwatch);
}

Expected<int> run_compress(const CompressChoices& choices, Environment& environment) {
  const Stopwatch stopwatch;
  THIMBLE_ASSIGN(Job job, plan_job(choices, environment));
  auto known = choices.force ? std::nullopt
                             : report_if_up_to_date(choices.output, job.target, job.fingerprint,
                                                    environment.globals.strict);
  if (known) {
    THIMBLE_TRY(calibrate::Journal::discard(choices.output + ".work"));
    return say_up_to_date(choices, *std::move(known), environment.globals);
  }
  for (const char* suffix : {"", ".report.json"}) {
    const bool folder = *suffix == '\0' && job.target.format == "safetensors";
    if (!folder) THIMBLE_TRY(check_writable(choices.output + suffix));
  }
  THIMBLE_TRY(check_finite(job.prepared, environment));

  std::shared_ptr<calibrate::Journal> journal;
  if (job.calibration || job.budgeted) {
    THIMBLE_ASSIGN(journal, open_journal(choices.output + ".work", job.fingerprint,
                                         calibrate::Journal::Use::kAlone, environment));
  }
  Expected<Outcome> outcome = work_on(job, choices, journal, environment, stopwatch);
  if (!outcome && journal != nullptr && outcome.error().code == ErrorCode::kInterrupted)
    return std::move(outcome).error().fix("give the same command again: it goes on from there");
  if (!outcome) return std::move(outcome).error();
  if (journal != nullptr) THIMBLE_TRY(journal->remove());
  if (environment.globals.json) report::print(outcome->json);
  return gate_status(outcome->gates, environment.globals.strict);
}

// What passes and the evaluation read, in place of what the recipe names.
void add_data_options(CLI::App& command, CompressChoices& choices) {
  command
      .add_option("--calibrate", choices.calibrate,
                  "Text, .jsonl of conversations, .npz or .wav to calibrate on, or "
                  "`teacher`: what the model writes; in place of the recipe's")
      ->type_name("FILE");
  command
      .add_option("--imatrix", choices.imatrix,
                  "llama.cpp's importance matrix for `importance: true`, in place of the recipe's")
      ->type_name("FILE");
  command
      .add_option("--measurements", choices.measurements,
                  "Keep what a budget measures in this folder, for other budgets of the same "
                  "model, recipe and texts")
      ->type_name("FOLDER");
  command
      .add_option("--text", choices.text,
                  "Text, .npz or .wav to evaluate on, in place of the recipe's")
      ->type_name("FILE");
  add_count(command, "--context", choices.windows.context, {8, 1 << 20},
            "Tokens of a window of that text, in place of the recipe's");
  add_count(command, "--max-windows", choices.windows.max_windows, {1, 1 << 30},
            "Evaluate on this many windows only");
}

// Which passes run, and what is printed of them.
void add_pass_options(CLI::App& command, pass::ManagerOptions& manager) {
  command.add_option("--disable-pass", manager.disable, "Leave a pass out")
      ->type_name("PASS")
      ->allow_extra_args(false);
  command
      .add_option("--print-after", manager.print_after, "Print the graph after a pass (*: each)")
      ->type_name("PASS");
  command.add_option("--stop-after", manager.stop_after, "Leave out the passes after this one")
      ->type_name("PASS");
}

}  // namespace

void add_compress(CLI::App& app, Globals& globals, Selected& selected) {
  auto choices = std::make_shared<CompressChoices>();
  CLI::App* command = add_command(
      app, globals, selected, "compress",
      "Compress a model as a recipe says, check its gates, write a .thimble, or ONNX, "
      "GGUF or safetensors",
      "  thimble compress MODEL -o out.thimble\n"
      "  thimble compress MODEL -r int3-mixed --text score.txt -o out.thimble\n"
      "  thimble compress MODEL --set quantize-weights.bits=3 -o out.thimble\n"
      "  thimble compress MODEL --size 60MB -o out.thimble",
      [choices](Environment& environment) { return run_compress(*choices, environment); });
  command->add_option("MODEL", choices->model,
                      "A Hugging Face folder or hub name, a GGUF or an ONNX file; or the recipe's");
  command
      ->add_option("-o,--output", choices->output,
                   "The .thimble, .gguf or .onnx file to write, or a folder for safetensors; its "
                   "report goes beside it")
      ->required()
      ->type_name("FILE");
  add_target_options(*command, choices->target);
  add_dim_option(*command, globals);
  add_recipe_options(*command, choices->recipe);
  add_budget_options(*command, choices->recipe);
  add_data_options(*command, *choices);
  command->add_option("--max-memory", globals.max_memory, "Refuse to start if more would be needed")
      ->type_name("SIZE");
  add_pass_options(*command, choices->manager);
  command->add_flag("--force", choices->force, "Write even when the output is up to date");
  command->add_flag("--strict", globals.strict,
                    "Make every fallback, warning and undecided gate an error");
}

}  // namespace thimble::cli

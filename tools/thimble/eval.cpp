// thimble eval: perplexity, and beside a reference KL divergence and agreement.

#include <nlohmann/json.hpp>

#include "report/json.h"
#include "report/summary.h"
#include "support/stopwatch.h"
#include "support/system.h"
#include "tools/thimble/evaluation.h"
#include "tools/thimble/open.h"

namespace thimble::cli {
namespace {

struct EvalChoices {
  std::string file;
  TextChoices text;
};

Expected<int> run_eval(const EvalChoices& choices, Environment& environment) {
  if (choices.text.text.empty() && choices.text.data.empty()) {
    return Error(ErrorCode::kUsage, "eval needs something to score on")
        .fix("give a text with --text FILE, or tensors with --npz or --idx");
  }
  const Stopwatch stopwatch;
  THIMBLE_ASSIGN(const EvaluationRequest request, request_of(choices.text));
  THIMBLE_ASSIGN(const Opened opened, open_any(choices.file, environment));
  THIMBLE_ASSIGN(const auto reference, open_reference(choices.text, environment));
  THIMBLE_ASSIGN(const auto metrics,
                 evaluate(opened.bundle, choices.file, reference ? &reference->bundle : nullptr,
                          request, environment));
  if (environment.globals.json) {
    report::Json out = report::document("eval");
    out["file"] = choices.file;
    report::add_metrics(out, metrics);
    if (opened.bundle.file_bytes > 0) out["file_bytes"] = opened.bundle.file_bytes;
    out["bits_per_weight"] = bits_per_weight(opened);
    out["peak_rss_bytes"] = system::peak_rss_bytes();
    out["seconds"] = stopwatch.seconds();
    report::print(out);
  } else {
    report::metric_table(metrics).print();
  }
  return 0;
}

}  // namespace

void add_eval(CLI::App& app, Globals& globals, Selected& selected) {
  auto choices = std::make_shared<EvalChoices>();
  CLI::App* command = add_command(
      app, globals, selected, "eval", "Score a model on a text, alone or beside a reference",
      "  thimble eval out.thimble --text score.txt\n"
      "  thimble eval out.thimble --text score.txt --reference MODEL --json",
      [choices](Environment& environment) { return run_eval(*choices, environment); });
  add_file_argument(*command, choices->file);
  add_dim_option(*command, globals);
  add_text_options(*command, choices->text);
}

}  // namespace thimble::cli

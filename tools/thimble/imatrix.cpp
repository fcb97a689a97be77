// thimble imatrix: the importance of each input of a model's weights, as llama.cpp's tools read it.

#include <cstdio>

#include <nlohmann/json.hpp>

#include "calibrate/calibration.h"
#include "calibrate/energies.h"
#include "data/text.h"
#include "formats/importance.h"
#include "report/json.h"
#include "support/atomic_file.h"
#include "tools/thimble/open.h"

namespace thimble::cli {
namespace {

struct ImatrixChoices {
  std::string model, text, output;
  calibrate::TextOptions options;
};

Expected<int> run_imatrix(const ImatrixChoices& choices, Environment& environment) {
  THIMBLE_TRY(check_writable(choices.output));
  THIMBLE_ASSIGN(const std::string text, data::read_text(choices.text));
  THIMBLE_ASSIGN(const ir::Model model, read_source(choices.model, environment.globals));
  const auto calibration = calibrate::Calibration::from_text(model, text, choices.options);
  if (!calibration) return Error(calibration.error()).in(choices.text);
  const auto samples = calibration->samples();
  const std::vector<ir::WeightUse> uses = ir::quantizable_weights(model);
  THIMBLE_ASSIGN(const calibrate::Energies energies,
                 calibrate::observe_energies(model, uses, samples, environment.pool));
  formats::ImportanceMatrix matrix;
  matrix.dataset = choices.text;
  matrix.chunks = std::ssize(samples);
  for (const auto& [weight, energy] : energies) {
    formats::ImportanceEntry entry{{energy.sums.begin(), energy.sums.end()},
                                   static_cast<double>(energy.rows)};
    matrix.chunk_size = energy.rows / matrix.chunks;
    matrix.entries.emplace(formats::importance_name(model, model.weight(weight)), std::move(entry));
  }
  THIMBLE_TRY(formats::write_importance(matrix, choices.output));
  if (environment.globals.json) {
    report::Json out = report::document("imatrix");
    out["output"] = choices.output;
    out["weights"] = matrix.entries.size();
    out["tokens"] = matrix.chunks * matrix.chunk_size;
    report::print(out);
  } else {
    std::printf("%s: %zu weights, %lld windows of %lld tokens\n", choices.output.c_str(),
                matrix.entries.size(), static_cast<long long>(matrix.chunks),
                static_cast<long long>(matrix.chunk_size));
  }
  return 0;
}

}  // namespace

void add_imatrix(CLI::App& app, Globals& globals, Selected& selected) {
  auto choices = std::make_shared<ImatrixChoices>();
  CLI::App* command = add_command(
      app, globals, selected, "imatrix",
      "Measure on a text how much each input of a model's weights matters, for llama.cpp's tools "
      "or `calibrate: {imatrix: FILE}`",
      "  thimble imatrix MODEL --text calibrate.txt -o imatrix.gguf\n"
      "  thimble imatrix MODEL --text calibrate.txt --tokens 262144 --context 2048\n"
      "    -o imatrix.gguf",
      [choices](Environment& environment) { return run_imatrix(*choices, environment); });
  command->add_option("MODEL", choices->model, "A Hugging Face folder or hub name, or a GGUF file")
      ->required();
  command->add_option("--text", choices->text, "The text to measure on")
      ->required()
      ->type_name("FILE");
  command->add_option("-o,--output", choices->output, "The GGUF file to write")
      ->required()
      ->type_name("FILE");
  add_count(*command, "--tokens", choices->options.tokens, {8, 1 << 28},
            "At most; whole windows count (32768)");
  add_count(*command, "--context", choices->options.context, {8, 1 << 20},
            "Tokens of a window (512, or the model's limit if that is less)");
}

}  // namespace thimble::cli

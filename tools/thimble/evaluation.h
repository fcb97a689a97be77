#pragma once
// Measuring a model for `compress`, `eval`, `compare` and `check`.

#include <optional>
#include <string>
#include <vector>

#include "data/text.h"
#include "eval/gate.h"
#include "eval/metrics.h"
#include "program/bundle.h"
#include "recipe/recipe.h"
#include "runtime/session.h"
#include "tools/thimble/open.h"

namespace thimble::cli {

struct EvaluationRequest {
  std::string text;                 // a file
  data::WindowOptions windows;      // context 0: 512, or the model's positions if there are fewer
  recipe::DataSet data;             // in place of a text
  std::int64_t greedy_windows = 0;  // that greedy text of both models starts from, too
  runtime::SessionOptions session;

  bool given() const { return !text.empty() || !data.empty(); }
};

// A decoder on windows of the text, an encoder on its lines (which needs a reference), any model on
// a data set's tensors.
Expected<std::vector<eval::Metric>> evaluate(const program::Bundle& bundle, const std::string& path,
                                             const program::Bundle* reference,
                                             const EvaluationRequest& request,
                                             Environment& environment);

// The options that say what to evaluate on.
struct TextChoices {
  std::string text;
  std::string reference;
  data::WindowOptions windows{.context = 0};  // 0: not given
  std::int64_t greedy_windows = 0;
  std::string cache;
  recipe::DataSet data;
};
// The model that it is to be measured beside, if any.
Expected<std::optional<Opened>> open_reference(const TextChoices& choices,
                                               Environment& environment);
// An error for a cache type that isn't known.
Expected<EvaluationRequest> request_of(const TextChoices& choices);
// What a recipe says, but where windows are `given` (not 0).
EvaluationRequest request_of(const recipe::Evaluation& evaluation,
                             const data::WindowOptions& given);
// The names of all that compress's evaluation can give for such a model, besides what it was made
// from; some may not come.
std::vector<std::string> metrics_of(const recipe::Evaluation& evaluation, ir::Task task);
// A command's exit status.
int gate_status(const std::vector<eval::GateResult>& gates, bool strict);
// Of models that are called frame by frame: sound and states.
void add_sequence_options(CLI::App& command, recipe::DataSet& data);
void add_window_options(CLI::App& command, data::WindowOptions& windows);
void add_text_options(CLI::App& command, TextChoices& choices);

}  // namespace thimble::cli

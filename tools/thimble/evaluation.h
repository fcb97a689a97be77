#pragma once
// Measuring a model for `compress`, `eval`, `compare` and `check`.

#include <string>
#include <vector>

#include "data/text.h"
#include "eval/metrics.h"
#include "program/bundle.h"
#include "runtime/session.h"
#include "tools/thimble/command.h"

namespace thimble::cli {

struct EvaluationRequest {
  std::string text;  // a file
  data::WindowOptions windows;
  bool weights = false;  // kl_weights, too
  runtime::SessionOptions session;
};

// A decoder on windows of the text, an encoder on its lines (which needs a reference).
Expected<std::vector<eval::Metric>> evaluate(const program::Bundle& bundle, const std::string& path,
                                             const program::Bundle* reference,
                                             const EvaluationRequest& request,
                                             Environment& environment);

// The options that say what to evaluate on.
struct TextChoices {
  std::string text;
  std::string reference;
  data::WindowOptions windows;
  std::string cache;
};
void add_text_options(CLI::App& command, TextChoices& choices);

}  // namespace thimble::cli

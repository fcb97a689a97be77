#include "tools/thimble/evaluation.h"

#include <algorithm>
#include <iterator>
#include <sstream>

#include "eval/arrays.h"
#include "eval/embeddings.h"
#include "eval/greedy.h"
#include "eval/score.h"
#include "eval/tensors.h"
#include "tools/thimble/generation.h"
#include "tools/thimble/samples.h"

namespace thimble::cli {
namespace {

std::vector<std::string> lines_of(const std::string& text, std::int64_t limit) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    lines.push_back(std::move(line));
    if (limit > 0 && static_cast<std::int64_t>(lines.size()) == limit) break;
  }
  return lines;
}

Expected<std::vector<eval::Metric>> evaluate_encoder(const program::Bundle& bundle,
                                                     const program::Bundle* reference,
                                                     const std::string& text,
                                                     const EvaluationRequest& request,
                                                     Environment& environment) {
  if (reference == nullptr) {
    return Error(ErrorCode::kUsage,
                 "an encoder is evaluated beside the model that it was made from")
        .fix("give it with --reference");
  }
  const auto lines = lines_of(text, request.windows.max_windows);
  environment.progress.begin("evaluating", static_cast<double>(lines.size()), "lines");
  const eval::EmbeddingOptions options{request.session,
                                       [&](double count) { environment.progress.advance(count); }};
  const auto embedded = eval::embed_lines(bundle, *reference, lines, environment.pool, options);
  environment.progress.end();
  if (!embedded) return embedded.error();
  const auto cut = std::count_if(embedded->begin(), embedded->end(),
                                 [](const eval::EmbeddedLine& line) { return line.cut; });
  if (cut > 0) {
    environment.progress.message("note: " + std::to_string(cut) + " of " +
                                 std::to_string(embedded->size()) + " lines were cut to " +
                                 std::to_string(bundle.program.max_context) + " tokens");
  }
  return eval::summarize_embeddings(*embedded);
}

void append(std::vector<eval::Metric> more, std::vector<eval::Metric>& metrics) {
  std::move(more.begin(), more.end(), std::back_inserter(metrics));
}

// Of the first windows.
Status add_greedy(const program::Bundle& bundle, const program::Bundle* reference,
                  const std::vector<data::Window>& windows, const EvaluationRequest& request,
                  Environment& environment, std::vector<eval::Metric>& metrics) {
  if (reference == nullptr) {
    return Error(ErrorCode::kUsage, "greedy text is compared with another model's")
        .fix("give the model that this one was made from with --reference");
  }
  const std::size_t count =
      std::min(windows.size(), static_cast<std::size_t>(request.greedy_windows));
  environment.progress.begin("greedy text", static_cast<double>(count), "windows");
  const eval::GreedyOptions options{request.session,
                                    [&](double done) { environment.progress.advance(done); }};
  const auto scores = eval::score_greedy(bundle, *reference, std::span(windows).first(count),
                                         environment.pool, options);
  environment.progress.end();
  if (!scores) return scores.error();
  append(eval::summarize_greedy(*scores), metrics);
  return ok();
}

Expected<std::vector<eval::Metric>> evaluate_tensors(const program::Bundle& bundle,
                                                     const program::Bundle* reference,
                                                     const EvaluationRequest& request,
                                                     Environment& environment) {
  eval::TensorScoreOptions options;
  THIMBLE_ASSIGN(options.states, eval::parse_states(request.data.states));
  // The reference may take more: a recipe can fix inputs.
  const program::Program& asking = reference == nullptr ? bundle.program : reference->program;
  const auto inputs = eval::without_states(eval::input_specs(asking), options.states);
  THIMBLE_ASSIGN(const auto source, open_samples(request.data, inputs));
  options.max_calls = static_cast<std::size_t>(request.data.samples);
  options.candidate = request.session;
  options.on_calls = [&](double count) { environment.progress.advance(count); };
  const std::size_t count =
      options.max_calls == 0 ? source->size() : std::min(source->size(), options.max_calls);
  environment.progress.begin("evaluating", static_cast<double>(count), "samples");
  auto scores = eval::score_tensors(bundle, reference, *source, environment.pool, options);
  environment.progress.end();
  if (!scores) return std::move(scores).error();
  std::vector<eval::Metric> metrics = eval::summarize_tensors(*scores);
  if (!metrics.empty()) return metrics;
  return Error(ErrorCode::kUsage, "without labels a model is evaluated beside another")
      .fix("give labels with --labels, or the model that this one was made from with --reference");
}

// A context that was asked for is the model's to take; that of one that wasn't is said where it is
// not the usual one.
Expected<data::WindowOptions> windows_for(const program::Program& program,
                                          data::WindowOptions windows, Environment& environment) {
  if (windows.context == 0) {
    windows.context = data::WindowOptions{}.context;
    const std::int64_t learnt = runtime::learnt_positions(program);
    if (learnt > 0 && learnt < windows.context) {
      windows.context = learnt;
      if (!environment.globals.quiet)
        environment.progress.message("note: the model has learnt " + std::to_string(learnt) +
                                     " positions, so windows have as many tokens");
    }
  }
  THIMBLE_TRY(runtime::check_positions(program, windows.context));
  return windows;
}

}  // namespace

Expected<std::vector<eval::Metric>> evaluate(const program::Bundle& bundle, const std::string& path,
                                             const program::Bundle* reference,
                                             const EvaluationRequest& request,
                                             Environment& environment) {
  if (!request.data.empty()) return evaluate_tensors(bundle, reference, request, environment);
  if (bundle.program.task == program::Task::kTensors) {
    return unsupported("only language models and encoders are evaluated on text")
        .in(path)
        .fix("give tensors with --npz, --idx, --images or --wav");
  }
  THIMBLE_ASSIGN(const std::string text, data::read_text(request.text));
  THIMBLE_ASSIGN(const auto tokenizer, tokenizer_of(bundle, path));
  if (bundle.program.task == program::Task::kEmbed)
    return evaluate_encoder(bundle, reference, text, request, environment);
  THIMBLE_ASSIGN(const data::WindowOptions options,
                 windows_for(bundle.program, request.windows, environment));
  auto windows = data::make_windows(text, tokenizer, options);
  if (!windows) return std::move(windows).error().in(request.text);
  double tokens = 0;
  for (const data::Window& window : *windows) tokens += static_cast<double>(window.tokens.size());
  environment.progress.begin("evaluating", tokens, "tokens");
  eval::ScoreOptions scoring;
  scoring.weights = reference != nullptr;
  scoring.candidate = request.session;
  scoring.on_tokens = [&](double count) { environment.progress.advance(count); };
  auto scores = eval::score_text(bundle, reference, *windows, environment.pool, scoring);
  environment.progress.end();
  if (!scores) return std::move(scores).error();
  std::vector<eval::Metric> metrics = eval::summarize(*scores);
  if (request.greedy_windows > 0) {
    THIMBLE_TRY(add_greedy(bundle, reference, *windows, request, environment, metrics));
  }
  return metrics;
}

int gate_status(const std::vector<eval::GateResult>& gates, bool strict) {
  return eval::acceptable(gates, strict) ? 0 : exit_status(ErrorCode::kGateFailed);
}

Expected<std::optional<Opened>> open_reference(const TextChoices& choices,
                                               Environment& environment) {
  if (choices.reference.empty()) return std::optional<Opened>();
  THIMBLE_ASSIGN(Opened opened, open_any(choices.reference, environment));
  return std::optional(std::move(opened));
}

namespace {

// Two data sets, or options that say more of one that isn't there.
Status check_data(const recipe::DataSet& set) {
  const std::pair<const char*, bool> sets[] = {{"--npz", !set.npz.empty()},
                                               {"--idx", !set.idx.empty()},
                                               {"--images", !set.images.empty()},
                                               {"--onnx-test-data", !set.onnx_test_data.empty()},
                                               {"--wav", !set.wav.empty()}};
  std::string named;
  for (const auto& [option, given] : sets) {
    if (!given) continue;
    if (!named.empty())
      return Error(ErrorCode::kUsage, named + " and " + option + " are two data sets; name one");
    named = option;
  }
  const data::Preprocessing& read = set.preprocessing;
  const data::Preprocessing plain;
  const data::Framing& cut = set.framing;
  const bool any = !set.empty(), wav = !set.wav.empty(), images = !set.images.empty();
  const bool pictures = images || !set.idx.empty();
  const struct {
    const char* option;
    bool given, fits;
    const char* sets;
  } belongs[] = {{"--labels", !set.labels.empty(), pictures, "--idx or --images"},
                 {"--scale", read.scale != plain.scale, pictures, "--idx or --images"},
                 {"--mean", read.mean != plain.mean, pictures, "--idx or --images"},
                 {"--std", read.deviation != plain.deviation, pictures, "--idx or --images"},
                 {"--resize", set.resize > 0, images, "--images"},
                 {"--frame", cut.frame > 0, wav, "--wav"},
                 {"--hop", cut.hop > 0, wav, "--wav"},
                 {"--rate", cut.rate > 0, wav, "--wav"},
                 {"--fill", !set.fill.empty(), wav, "--wav"},
                 {"--state", !set.states.empty(), any, "a data set"},
                 {"--samples", set.samples > 0, any, "a data set"}};
  for (const auto& row : belongs) {
    if (row.given && !row.fits)
      return Error(ErrorCode::kUsage, std::string(row.option) + " goes with " + row.sets);
  }
  return ok();
}

}  // namespace

Expected<EvaluationRequest> request_of(const TextChoices& choices) {
  EvaluationRequest request{
      choices.text, choices.windows, choices.data, choices.greedy_windows, {}};
  if (!choices.text.empty() && !choices.data.empty())
    return Error(ErrorCode::kUsage, "a text and a data set exclude each other");
  THIMBLE_TRY(check_data(choices.data));
  const data::WindowOptions& windows = choices.windows;
  if (!choices.data.empty() && (windows.context > 0 || windows.stride > 0 ||
                                windows.max_windows > 0 || choices.greedy_windows > 0))
    return Error(ErrorCode::kUsage,
                 "--context, --stride, --max-windows and --greedy-windows go with --text");
  THIMBLE_TRY(set_cache(choices.cache, request.session));
  return request;
}

EvaluationRequest request_of(const recipe::Evaluation& evaluation,
                             const data::WindowOptions& given) {
  EvaluationRequest request;
  request.text = evaluation.text;
  request.data = evaluation.data;
  request.windows = {evaluation.context, evaluation.stride, evaluation.max_windows};
  request.greedy_windows = evaluation.greedy_windows;
  if (given.context > 0) request.windows.context = given.context;
  if (given.stride > 0) request.windows.stride = given.stride;
  if (given.max_windows > 0) request.windows.max_windows = given.max_windows;
  return request;
}

std::vector<std::string> metrics_of(const recipe::Evaluation& evaluation, ir::Task task) {
  std::vector<eval::Metric> metrics;  // of scores that know nothing
  if (!evaluation.data.empty()) {
    eval::TensorScores scores;
    scores.calls.resize(1);
    scores.has_labels = !evaluation.data.labels.empty();
    scores.has_reference = true;
    metrics = eval::summarize_tensors(scores);
  } else if (evaluation.text.empty()) {
    return {};
  } else if (task == ir::Task::kEmbed) {
    metrics = eval::summarize_embeddings(std::vector<eval::EmbeddedLine>(3));
  } else {
    eval::Scores scores;
    scores.windows.resize(1);
    scores.has_reference = scores.has_weights = true;
    metrics = eval::summarize(scores);
    const std::size_t greedy = evaluation.greedy_windows > 0 ? 1 : 0;
    append(eval::summarize_greedy(std::vector<eval::GreedyScore>(greedy)), metrics);
  }
  std::vector<std::string> names;
  for (eval::Metric& metric : metrics) names.push_back(std::move(metric.name));
  return names;
}

void add_sequence_options(CLI::App& command, recipe::DataSet& data) {
  command.add_option("--wav", data.wav, "Sound, a file or a folder of them, cut into frames")
      ->type_name("FILE");
  constexpr CountRange kSamples{1, 1 << 24};
  add_count(command, "--frame", data.framing.frame, kSamples,
            "Samples that the model hears at once");
  add_count(command, "--hop", data.framing.hop, kSamples,
            "Samples from one frame to the next; the frame unless given");
  add_count(command, "--rate", data.framing.rate, kSamples,
            "Samples per second that the sound must have");
  command.add_option("--fill", data.fill, "Numbers for other inputs, as in sr=16000")
      ->type_name("NAME=X");
  command
      .add_option("--state", data.states,
                  "An input that takes what an output gave in the call before, as in state=stateN")
      ->type_name("IN=OUT");
}

void add_window_options(CLI::App& command, data::WindowOptions& windows) {
  add_count(command, "--context", windows.context, {8, 1 << 20},
            "Tokens of a window; 512, or the model's positions, unless given");
  add_count(command, "--max-windows", windows.max_windows, {1, 1 << 30}, "Score only this many");
}

void add_text_options(CLI::App& command, TextChoices& choices) {
  command.add_option("--text", choices.text, "The text to score")->type_name("FILE");
  command.add_option("--npz", choices.data.npz, "Arrays to score, or a folder of archives")
      ->type_name("FILE");
  command.add_option("--idx", choices.data.idx, "Images to score, in the MNIST database's format")
      ->type_name("FILE");
  command
      .add_option("--images", choices.data.images,
                  "Pictures to score, a folder of PNG or JPEG files")
      ->type_name("FOLDER");
  add_count(command, "--resize", choices.data.resize, {1, 1 << 14},
            "Their shorter side, before the middle is cut out");
  command
      .add_option("--onnx-test-data", choices.data.onnx_test_data,
                  "A folder of test_data_set_N to score")
      ->type_name("FOLDER");
  command.add_option("--labels", choices.data.labels, "The classes of those images")
      ->type_name("FILE");
  add_sequence_options(command, choices.data);
  command
      .add_option("--scale", choices.data.preprocessing.scale,
                  "A pixel goes in as (byte * scale - mean) / std")
      ->type_name("X");
  command.add_option("--mean", choices.data.preprocessing.mean, "One number, or one per channel")
      ->type_name("X");
  command
      .add_option("--std", choices.data.preprocessing.deviation, "One number, or one per channel")
      ->type_name("X");
  add_count(command, "--samples", choices.data.samples, {1, 1 << 30}, "Score only this many");
  command
      .add_option("--reference", choices.reference, "The float model that this one was made from")
      ->type_name("MODEL");
  add_window_options(command, choices.windows);
  add_count(command, "--stride", choices.windows.stride, {1, 1 << 20},
            "Overlapping windows in Hugging Face's manner");
  add_count(command, "--greedy-windows", choices.greedy_windows, {1, 1 << 30},
            "Also let both models write greedy text from this many windows");
  add_cache_option(command, choices.cache);
}

}  // namespace thimble::cli

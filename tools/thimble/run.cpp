// thimble run: text from a language model, or tensors in and out of any model.

#include <nlohmann/json.hpp>

#include "report/json.h"
#include "runtime/generate.h"
#include "tools/thimble/evaluation.h"
#include "tools/thimble/generation.h"
#include "tools/thimble/open.h"
#include "tools/thimble/tensors.h"

namespace thimble::cli {
namespace {

struct RunChoices {
  const CLI::App* command = nullptr;
  std::string file;
  TensorRequest tensors;
  GenerationChoices generation;
};

// Options that would do nothing beside the others.
Status check_choices(const RunChoices& choices) {
  const GenerationChoices& text = choices.generation;
  const bool tensors = !choices.tensors.empty();
  if (tensors && (!text.prompt.empty() || text.chat))
    return Error(ErrorCode::kUsage, "a text and tensors exclude each other")
        .fix("give -p or --chat, or else --inputs or --wav");
  if (!tensors && !choices.tensors.outputs.empty() && (!text.prompt.empty() || text.chat))
    return Error(ErrorCode::kUsage, "--outputs takes what a run of tensors gives")
        .fix("give tensors with --inputs in.npz, or leave --outputs out");
  if (!text.system.empty() && !text.chat)
    return Error(ErrorCode::kUsage, "--system is a chat's").fix("add --chat");
  return ok();
}

// Nor does one of how a text is generated where none is.
Status check_generates_nothing(const RunChoices& choices, const std::string& instead) {
  for (const char* option :
       {"--chat", "--tokens", "--stop", "--temperature", "--top-k", "--top-p", "--min-p",
        "--repetition-penalty", "--seed", "--kv", "--context", "--ignore-eos"}) {
    if (choices.command->count(option) > 0)
      return Error(ErrorCode::kUsage,
                   std::string(option) + " is of generating text, and " + instead)
          .fix("leave it out");
  }
  return ok();
}

Expected<int> run_model(const RunChoices& choices, Environment& environment) {
  THIMBLE_TRY(check_choices(choices));
  THIMBLE_ASSIGN(const Opened opened, open_any(choices.file, environment));
  if (!choices.tensors.empty()) {
    THIMBLE_TRY(check_generates_nothing(choices, "this is a run of tensors"));
    return run_tensors(opened, choices.tensors, environment);
  }
  if (opened.bundle.program.task == program::Task::kGenerate) {
    return generate(opened.bundle, choices.file, choices.generation, environment);
  }
  if (opened.bundle.program.task == program::Task::kEmbed && !choices.generation.prompt.empty()) {
    THIMBLE_TRY(check_generates_nothing(choices, "this model gives an embedding"));
    return embed_text(opened.bundle, choices.file, choices.generation.prompt, environment);
  }
  const bool reads_text = opened.bundle.program.task == program::Task::kEmbed;
  return Error(ErrorCode::kUsage,
               reads_text ? "there is nothing to encode" : "this model takes tensors")
      .fix(reads_text ? "give a text with -p TEXT, or tensors with --inputs in.npz"
                      : "give them with --inputs in.npz");
}

}  // namespace

void add_run(CLI::App& app, Globals& globals, Selected& selected) {
  auto choices = std::make_shared<RunChoices>();
  CLI::App* command =
      add_command(app, globals, selected, "run", "Generate text, or run tensors through a model",
                  "  thimble run model.thimble -p \"Once upon a time\" -n 100\n"
                  "  thimble run model.thimble --chat --system \"Answer in one line.\"\n"
                  "  thimble run encoder.thimble --inputs in.npz --outputs out.npz\n"
                  "  thimble run encoder.onnx --dim batch=1,seq=1..512 --inputs in.npz\n"
                  "  thimble run vad.onnx --wav speech.wav --frame 576 --hop 512 --fill sr=16000\n"
                  "    --state state=stateN --outputs out.npz",
                  [choices](Environment& environment) { return run_model(*choices, environment); });
  choices->command = command;
  add_file_argument(*command, choices->file);
  command->add_option("--inputs", choices->tensors.inputs, "Arrays by the graph's input names")
      ->type_name("NPZ");
  command->add_option("--outputs", choices->tensors.outputs, "Where to write the outputs' arrays")
      ->type_name("NPZ");
  add_sequence_options(*command, choices->tensors.data);
  add_dim_option(*command, globals);
  add_generation_options(*command, choices->generation);
}

}  // namespace thimble::cli

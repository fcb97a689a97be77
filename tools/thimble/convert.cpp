// thimble convert: the same model in another format, so that other tools can read it.

#include <cstdio>

#include <nlohmann/json.hpp>

#include "formats/all.h"
#include "formats/thimble/writer.h"
#include "lower/lower.h"
#include "report/json.h"
#include "tools/thimble/metadata.h"
#include "tools/thimble/open.h"
#include "tools/thimble/preconditions.h"
#include "tools/thimble/target.h"

namespace thimble::cli {
namespace {

struct ConvertChoices {
  std::string model, output, to;
  TargetChoices target;
};

Status write_thimble(const ir::Model& model, const std::string& path, Environment& environment) {
  THIMBLE_ASSIGN(lower::Lowered lowered, lower::lower(model));
  THIMBLE_ASSIGN(const auto writer,
                 formats::ThimbleWriter::create(path, std::move(lowered), lower::describe(model)));
  THIMBLE_TRY(writer->write_payloads(environment.pool, environment.progress));
  return writer->finish(metadata_of(model));
}

Expected<int> run_convert(const ConvertChoices& choices, Environment& environment) {
  THIMBLE_ASSIGN(formats::Target target, target_of(choices.output, choices.to, choices.target));
  target.decode = target.type == "f32" || target.type == "f16";  // nothing else asks for floats
  THIMBLE_TRY(check_output(choices.output, target, choices.model));
  THIMBLE_ASSIGN(const ir::Model model, read_source(choices.model, environment.globals));
  if (is_thimble_target(target)) {
    THIMBLE_TRY(write_thimble(model, choices.output, environment));
  } else {
    THIMBLE_TRY(formats::write_model(model, choices.output, target, environment.pool,
                                     environment.progress));
  }
  if (environment.globals.json) {
    report::Json out = report::document("convert");
    out["output"] = choices.output;
    out["format"] = target.format;
    report::print(out);
  } else {
    std::printf("%s: %s\n", choices.output.c_str(), target.format.c_str());
  }
  return 0;
}

}  // namespace

void add_convert(CLI::App& app, Globals& globals, Selected& selected) {
  auto choices = std::make_shared<ConvertChoices>();
  CLI::App* command = add_command(
      app, globals, selected, "convert", "Write a model in another format, without a recipe",
      "  thimble convert MODEL out.thimble\n  thimble convert MODEL out.gguf --type q4_0\n  "
      "thimble convert model.gguf folder --to safetensors",
      [choices](Environment& environment) { return run_convert(*choices, environment); });
  command
      ->add_option("MODEL", choices->model,
                   "A Hugging Face folder or hub name, a GGUF or an ONNX file")
      ->required();
  command
      ->add_option("OUT", choices->output,
                   "A .thimble, .gguf or .onnx file, or a folder for safetensors")
      ->required();
  command
      ->add_option("--to", choices->to,
                   "thimble, gguf, onnx or safetensors, where the name doesn't tell")
      ->check(CLI::IsMember({"thimble", "gguf", "onnx", "safetensors"}))
      ->type_name("FORMAT");
  add_target_options(*command, choices->target);
  add_dim_option(*command, globals);
}

}  // namespace thimble::cli

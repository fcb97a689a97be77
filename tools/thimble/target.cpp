#include "tools/thimble/target.h"

#include <array>

#include "tools/thimble/metadata.h"

namespace thimble::cli {
namespace {

struct Format {
  std::string_view name;
  std::string_view types;  // of --type, between blanks
};
constexpr std::array kFormats = {
    Format{"thimble", ""},
    Format{"gguf", " f32 f16 q8_0 q4_0 "},
    Format{"onnx", " float "},
    Format{"safetensors", " f32 f16 bf16 "},
};

Expected<const Format*> format_of(const std::string& output, const std::string& to) {
  std::string name = to;
  if (name.empty()) {
    const auto dot = output.rfind('.');
    const bool folder = dot == std::string::npos || output.find('/', dot) != std::string::npos;
    name = folder ? "safetensors" : output.substr(dot + 1);
  }
  for (const Format& format : kFormats) {
    if (format.name == name) return &format;
  }
  return Error(ErrorCode::kUsage, "no format is called '" + name + "'")
      .fix("end the output's name in .thimble, .gguf or .onnx, or name a folder for safetensors");
}

Error useless(std::string_view option, const Format& format) {
  return Error(ErrorCode::kUsage,
               std::string(option) + " means nothing to the format " + std::string(format.name));
}

}  // namespace

void add_target_options(CLI::App& command, TargetChoices& choices) {
  command
      .add_option("--type", choices.type,
                  "Of products: f32, f16, q8_0 or q4_0 (GGUF), f32, f16 or bf16 (safetensors), "
                  "float (ONNX)")
      ->type_name("TYPE");
  command.add_flag("--allow-dequantize", choices.allow_dequantize,
                   "Write as floats the weights whose encoding the format lacks");
  command
      .add_option("--accuracy-level", choices.accuracy_level,
                  "How products of quantized weights may round their inputs (ONNX): 4 int8, 1 not, "
                  "0 as the runtime likes; as the model does unless given")
      ->check(CLI::IsMember({0, 1, 4}))
      ->type_name("N");
}

Expected<formats::Target> target_of(const std::string& output, const std::string& to,
                                    const TargetChoices& choices) {
  THIMBLE_ASSIGN(const Format* format, format_of(output, to));
  const bool known_type = format->types.find(" " + choices.type + " ") != std::string_view::npos;
  if (!choices.type.empty() && !known_type) {
    if (format->types.empty()) return useless("--type", *format);
    return Error(ErrorCode::kUsage, "no " + std::string(format->name) + " type '" + choices.type +
                                        "'; types are" + std::string(format->types));
  }
  if (choices.allow_dequantize && format->name == "thimble")
    return useless("--allow-dequantize", *format);
  if (choices.accuracy_level && format->name != "onnx") return useless("--accuracy-level", *format);
  formats::Target target;
  target.format = format->name;
  target.type = choices.type;
  target.allow_dequantize = choices.allow_dequantize;
  target.accuracy_level = choices.accuracy_level;
  target.provenance["thimble.version"] = THIMBLE_VERSION;
  return target;
}

formats::Target with_provenance(formats::Target target, const program::Metadata& metadata) {
  for (const auto& [key, value] : metadata) {
    if (!is_model_key(key)) target.provenance[key] = value;
  }
  return target;
}

}  // namespace thimble::cli

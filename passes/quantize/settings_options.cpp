#include "passes/quantize/settings.h"

namespace thimble::passes {

using pass::OptionType;

namespace {

pass::OptionInfo sub_scale_bits_option() {
  return {.name = "sub_scale_bits",
          .type = OptionType::kInteger,
          .fallback = "0",
          .unit = "bits",
          .help = "width of a group's scale, a code under the row's scale; 0: a scale of its own",
          .numbers = {0, 4, 6, 8}};
}

pass::OptionInfo codes_option() {
  return {.name = "codes",
          .type = OptionType::kWord,
          .fallback = "uniform",
          .help =
              "what codes stand for: whole numbers; or, of 2 to 4 bits, levels where normally "
              "distributed weights lie, or fitted to each tensor; or, of 4 bits, those of QLoRA's "
              "NF4 or of GGUF's IQ4_NL; or a format with scales of its own: MXFP4, NVFP4, or -1, 0 "
              "and 1 in 2 bits",
          .words = {"uniform", "normal", "fitted", "nf4", "iq4_nl", "mxfp4", "nvfp4", "ternary"}};
}

// With `auto` among its values.
pass::OptionInfo open_to_budget(pass::OptionInfo option) {
  if (option.type == OptionType::kInteger) option.type = OptionType::kIntegerOrWord;
  option.words.push_back("auto");
  return option;
}

}  // namespace

pass::OptionInfo bits_option() {
  return {.name = "bits",
          .type = OptionType::kInteger,
          .fallback = "4",
          .unit = "bits",
          .help = "width of a code",
          .minimum = 2,
          .maximum = 8};
}

pass::OptionInfo symmetric_option() {
  return {.name = "symmetric",
          .type = OptionType::kBool,
          .fallback = "true",
          .help = "codes around 0; false adds a zero point to each scale"};
}

pass::OptionInfo scale_option() {
  return {.name = "scale",
          .type = OptionType::kWord,
          .fallback = "f16",
          .help = "type of the scales",
          .words = {"f16", "bf16", "f32"}};
}

pass::OptionInfo search_option() {
  return {.name = "search",
          .type = OptionType::kWord,
          .fallback = "mse",
          .help = "how scales are found: from the extremes, or by least squared error",
          .words = {"absmax", "mse"}};
}

pass::OptionInfo activations_option() {
  return {
      .name = "activations",
      .type = OptionType::kWord,
      .fallback = "int8",
      .help =
          "how inputs of a quantized product are written: int8 with a scale per 32 inputs, or per "
          "token, which 8-bit weights of whole channels make use of; values that several "
          "products read take the finest",
      .words = {"float", "int8", "int8-token", "int16"}};
}

pass::OptionInfo only_option() {
  return {.name = "only",
          .type = OptionType::kSelector,
          .help = "the weights to look at; others stay as they are"};
}

pass::OptionInfo rules_option() {
  return {
      .name = "rules",
      .type = OptionType::kRules,
      .help =
          "selectors with options of their own, or `skip: true`; the first that matches counts"};
}

pass::OptionInfo group_size_option() {
  return {.name = "group_size",
          .type = OptionType::kIntegerOrWord,
          .fallback = "32",
          .unit = "inputs",
          .help = "inputs that share a scale; channel: all of one",
          .numbers = {16, 32, 64, 96, 128, 160, 192, 224, 256},
          .words = {"channel"}};
}

pass::OptionInfo group_size_or_tensor_option() {
  pass::OptionInfo info = group_size_option();
  info.help += "; tensor: all";
  info.words.push_back("tensor");
  return info;
}

std::vector<pass::OptionInfo> settled_options(pass::OptionInfo group_size,
                                              std::vector<pass::OptionInfo> own) {
  std::vector<pass::OptionInfo> all = {
      open_to_budget(bits_option()),
      open_to_budget(std::move(group_size)),
      open_to_budget(symmetric_option()),
      open_to_budget(sub_scale_bits_option()),
      open_to_budget(codes_option()),
      scale_option(),
      search_option(),
      activations_option(),
  };
  for (pass::OptionInfo& option : own) all.push_back(std::move(option));
  all.push_back(only_option());
  all.push_back(rules_option());
  return all;
}

}  // namespace thimble::passes

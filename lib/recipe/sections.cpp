#include "recipe/sections.h"

#include <utility>

#include "recipe/data_set.h"

namespace thimble::recipe {

using pass::OptionType;

namespace {

std::vector<pass::OptionInfo> with_data_set(std::vector<pass::OptionInfo> options) {
  for (pass::OptionInfo& option : data_set_options()) options.push_back(std::move(option));
  return options;
}

pass::OptionInfo context_option() {
  return {.name = "context",
          .type = OptionType::kInteger,
          .fallback = "0",
          .unit = "tokens",
          .help = "of a window; 0: 512, or the model's limit if that is less",
          .minimum = 0,
          .maximum = 1 << 20};
}

pass::OptionInfo stride_option() {
  return {.name = "stride",
          .type = OptionType::kInteger,
          .fallback = "0",
          .unit = "tokens",
          .help = "from a window to the next; 0: windows don't overlap",
          .minimum = 0,
          .maximum = 1 << 20};
}

pass::OptionInfo tokens_option(const char* fallback) {
  return {.name = "tokens",
          .type = OptionType::kInteger,
          .fallback = fallback,
          .unit = "tokens",
          .help = "at most; whole windows count",
          .minimum = 8,
          .maximum = 1 << 28};
}

}  // namespace

const std::vector<pass::OptionInfo>& evaluate_options() {
  static const std::vector<pass::OptionInfo> kOptions = with_data_set({
      {.name = "text", .type = OptionType::kText, .help = "the file to score"},
      {.name = "context",
       .type = OptionType::kInteger,
       .fallback = "512",
       .unit = "tokens",
       .help = "of a window",
       .minimum = 8,
       .maximum = 1 << 20},
      stride_option(),
      {.name = "max_windows",
       .type = OptionType::kInteger,
       .fallback = "0",
       .help = "0: all",
       .minimum = 0,
       .maximum = 1 << 30},
      {.name = "greedy_windows",
       .type = OptionType::kInteger,
       .fallback = "0",
       .help = "windows from which both models also write greedy text of their own",
       .minimum = 0,
       .maximum = 1 << 30},
  });
  return kOptions;
}

const std::vector<pass::OptionInfo>& calibrate_options() {
  static const std::vector<pass::OptionInfo> kOptions = with_data_set({
      {.name = "text", .type = OptionType::kText, .help = "the file to calibrate on"},
      {.name = "chat",
       .type = OptionType::kText,
       .help = "conversations to calibrate on, in the model's chat template: a JSON object a line"},
      {.name = "teacher",
       .type = OptionType::kBool,
       .fallback = "false",
       .help = "calibrate on what the model writes itself, from the recipe's seed"},
      {.name = "imatrix",
       .type = OptionType::kText,
       .help = "llama.cpp's importance matrix, for `importance: true` of quantize-weights"},
      tokens_option("32768"),
      context_option(),
      stride_option(),
  });
  return kOptions;
}

const std::vector<pass::OptionInfo>& tune_options() {
  static const std::vector<pass::OptionInfo> kOptions = with_data_set({
      {.name = "text", .type = OptionType::kText, .help = "the file that a budget measures on"},
      {.name = "teacher",
       .type = OptionType::kBool,
       .fallback = "false",
       .help = "measure on what the model writes itself, from the recipe's seed"},
      tokens_option("16384"),
      context_option(),
  });
  return kOptions;
}

const std::vector<pass::OptionInfo>& budget_options() {
  static const std::vector<pass::OptionInfo> kOptions = {
      {.name = "size", .type = OptionType::kText, .help = "of the file, such as 60MB"},
      {.name = "bits_per_weight",
       .type = OptionType::kReal,
       .help = "of all segments, over the original's parameters",
       .minimum = 0.5,
       .maximum = 32},
      {.name = "kl_mean",
       .type = OptionType::kReal,
       .unit = "nats",
       .help = "on the tune text",
       .minimum = 1e-9,
       .maximum = 100},
      {.name = "sensitivity",
       .type = OptionType::kWord,
       .fallback = "layer",
       .help = "a slope per layer and role, or per tensor",
       .words = {"layer", "kl"}},
  };
  return kOptions;
}

const std::vector<pass::OptionInfo>& model_options() {
  static const std::vector<pass::OptionInfo> kOptions = {
      {.name = "path", .type = OptionType::kText, .help = "the model that the recipe is for"},
      {.name = "sha256",
       .type = OptionType::kText,
       .help = "of its weights file, as sha256sum prints it"},
  };
  return kOptions;
}

}  // namespace thimble::recipe

// thimble passes: what a recipe can say, from the passes' own descriptions. `--markdown` makes
// docs/RECIPES.md.

#include <cstdio>

#include <nlohmann/json.hpp>

#include "passes/all.h"
#include "report/json.h"
#include "support/text.h"
#include "tools/thimble/command.h"
#include "tools/thimble/help.h"

namespace thimble::cli {
namespace {

struct PassesChoices {
  std::string name;
  bool markdown = false;
};

std::string_view kind_name(pass::Kind kind) {
  switch (kind) {
    case pass::Kind::kAnalysis:
      return "analysis";
    case pass::Kind::kRewrite:
      return "rewrite";
    case pass::Kind::kLossy:
      return "lossy";
  }
  return "";
}

std::string allowed_text(const pass::OptionInfo& option) {
  std::string words = join(option.words, ", ");
  switch (option.type) {
    case pass::OptionType::kBool:
      return words.empty() ? "true, false" : "true, false, " + words;
    case pass::OptionType::kInteger:
    case pass::OptionType::kReal:
    case pass::OptionType::kIntegerOrWord:
      if (const std::string numbers = pass::numbers_text(option); !numbers.empty())
        return words.empty() ? numbers : numbers + ", " + words;
      return words;
    case pass::OptionType::kSelector:
      return "a selector";
    case pass::OptionType::kRules:
      return "a list of rules";
    default:
      return words;
  }
}

void print_text(const pass::PassInfo& info) {
  constexpr std::size_t kColumn = 18;
  const std::string title = info.name + " (" + std::string(kind_name(info.kind)) + "): ";
  std::printf("%s\n", wrapped(title + info.summary, 0, 2).c_str());
  for (const pass::OptionInfo& option : info.options) {
    std::string name = "  " + option.name;
    name.resize(std::max(name.size() + 1, kColumn), ' ');
    std::string text = option.help;
    if (const std::string allowed = allowed_text(option); !allowed.empty())
      text += " (" + allowed + ")";
    if (!option.fallback.empty()) text += " [" + option.fallback + "]";
    std::printf("%s%s\n", name.c_str(), wrapped(text, name.size(), kColumn).c_str());
  }
}

void print_markdown(const pass::PassInfo& info) {
  std::printf("### `%s`\n\n%s (%s)\n\n", info.name.c_str(), info.summary.c_str(),
              std::string(kind_name(info.kind)).c_str());
  if (info.options.empty()) return;
  std::printf("| option | what | values | default |\n|---|---|---|---|\n");
  for (const pass::OptionInfo& option : info.options) {
    const std::string unit = option.unit.empty() ? "" : " (" + option.unit + ")";
    std::printf("| `%s` | %s%s | %s | %s |\n", option.name.c_str(), option.help.c_str(),
                unit.c_str(), allowed_text(option).c_str(), option.fallback.c_str());
  }
  std::printf("\n");
}

report::Json to_json(const pass::PassInfo& info) {
  report::Json options = report::Json::array();
  for (const pass::OptionInfo& option : info.options) {
    options.push_back({{"name", option.name},
                       {"help", option.help},
                       {"unit", option.unit},
                       {"default", option.fallback},
                       {"values", allowed_text(option)}});
  }
  return {{"name", info.name},
          {"kind", kind_name(info.kind)},
          {"summary", info.summary},
          {"options", options}};
}

Expected<int> run_passes(const PassesChoices& choices, const Globals& globals) {
  std::vector<std::string> names;
  report::Json list = report::Json::array();
  bool found = false;
  for (const pass::Registration& registration : passes::all()) {
    names.push_back(registration.info.name);
    if (!choices.name.empty() && choices.name != registration.info.name) continue;
    found = true;
    if (globals.json) {
      list.push_back(to_json(registration.info));
    } else if (choices.markdown) {
      print_markdown(registration.info);
    } else {
      print_text(registration.info);
    }
  }
  if (!found) {
    return Error(ErrorCode::kUsage,
                 "no pass '" + choices.name + "'" + did_you_mean(choices.name, names));
  }
  if (globals.json) {
    report::Json out = report::document("passes");
    out["passes"] = std::move(list);
    report::print(out);
  }
  return 0;
}

}  // namespace

void add_passes(CLI::App& app, Globals& globals, Selected& selected) {
  auto choices = std::make_shared<PassesChoices>();
  CLI::App* command =
      add_command(app, globals, selected, "passes",
                  "List the passes that a recipe can name, with their options",
                  "  thimble passes\n  thimble passes quantize-weights",
                  [choices, &globals](Environment&) { return run_passes(*choices, globals); });
  command->add_option("PASS", choices->name, "Only this one");
  command->add_flag("--markdown", choices->markdown, "As the tables of docs/RECIPES.md");
}

}  // namespace thimble::cli

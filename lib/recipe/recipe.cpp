#include "recipe/recipe.h"

#include <algorithm>

#include "recipe/keys.h"
#include "recipe/source.h"
#include "support/mistakes.h"
#include "support/text.h"

namespace thimble::recipe {
namespace {

using pass::OptionValue;

constexpr int kMaxExtends = 8;

Expected<std::vector<Override>> parse_overrides(const std::vector<std::string>& settings) {
  std::vector<Override> overrides;
  for (const std::string& setting : settings) {
    const auto equals = setting.find('=');
    const auto dot = setting.rfind('.', equals);
    if (equals == std::string::npos || dot == std::string::npos)
      return Error(ErrorCode::kUsage, "--set reads PASS.OPTION=VALUE, not '" + setting + "'");
    THIMBLE_ASSIGN(OptionValue value,
                   parse_yaml_value(setting.substr(equals + 1), "--set " + setting));
    overrides.push_back({setting, setting.substr(0, dot), setting.substr(dot + 1, equals - dot - 1),
                         std::move(value)});
  }
  return overrides;
}

// What several files, or a file and the command line, are read with.
struct Reading {
  const ReadOptions& options;
  const std::vector<Override>& overrides;
  Names& variables;  // that the files name
};

Status read_into(const Source& source, const Reading& reading, int depth, Recipe& recipe);

// The recipe that this one extends.
Status read_base(const OptionValue& base, const Source& source, const Reading& reading, int depth,
                 Recipe& recipe) {
  if (base.text() == nullptr)
    return wrong(base, "'extends' takes a file or a shipped recipe's name");
  if (depth == kMaxExtends) {
    return wrong(base, "'extends' goes round in a circle, or over more than " +
                           std::to_string(kMaxExtends) + " recipes");
  }
  auto opened = open_source(*base.text(), source.directory);
  if (!opened) return wrong(base, opened.error().message);
  return read_into(*opened, reading, depth + 1, recipe);
}

Status read_into(const Source& source, const Reading& reading, int depth, Recipe& recipe) {
  Mistakes mistakes;
  THIMBLE_ASSIGN(
      const OptionValue root,
      parse_yaml(source.text, source.file, reading.options.variables, reading.variables, mistakes));
  const OptionValue* base = root.find("extends");
  if (base != nullptr) mistakes.add(read_base(*base, source, reading, depth, recipe));
  recipe.text += source.text;
  const KeyReading keys{reading.options.registry, reading.overrides, source.directory};
  mistakes.add(read_keys(root, keys, recipe));
  return std::move(mistakes).status();
}

Status check_overrides(const std::vector<Override>& overrides, const Recipe& recipe) {
  std::vector<std::string> names;
  for (const pass::Step& step : recipe.passes) names.push_back(step.registration->info.name);
  for (const Override& set : overrides) {
    if (std::find(names.begin(), names.end(), set.pass) == names.end())
      return Error(ErrorCode::kUsage, "--set " + set.setting + ": the recipe has no pass '" +
                                          set.pass + "'" +
                                          suggestion(set.pass, names, "its passes"));
  }
  return ok();
}

Status check_variables(const Variables& variables, const Names& read) {
  for (const auto& [name, value] : variables) {
    if (read.count(name) > 0) continue;
    const std::string none = "--var " + name + "=" + value + ": the recipe reads no ";
    if (read.empty()) return Error(ErrorCode::kUsage, none + "variables");
    return Error(
        ErrorCode::kUsage,
        none + "'" + name + "'" + suggestion(name, {read.begin(), read.end()}, "its variables"));
  }
  return ok();
}

Expected<Recipe> read_opened(const Source& source, const ReadOptions& options) {
  THIMBLE_ASSIGN(const std::vector<Override> overrides, parse_overrides(options.set));
  Recipe recipe;
  recipe.name = source.file;
  Names variables;
  THIMBLE_TRY(read_into(source, {options, overrides, variables}, 0, recipe));
  THIMBLE_TRY(check_variables(options.variables, variables));
  THIMBLE_TRY(check_overrides(overrides, recipe));
  return recipe;
}

}  // namespace

Expected<pass::Budget> size_budget(const std::string& size) {
  constexpr double kMostBytes = 1e15;
  const auto bytes = eval::parse_size(size);
  if (!bytes || *bytes < 1 || *bytes > kMostBytes)
    return Error(ErrorCode::kInvalidArgument,
                 "'size' is '" + size + "'; it reads as 60MB, 1.5GB or 512KiB do");
  return pass::Budget{pass::BudgetKind::kSize, *bytes, {}, "size: " + size};
}

pass::Budget bits_budget(double bits) {
  return {pass::BudgetKind::kBitsPerWeight,
          bits,
          {},
          "bits_per_weight: " + format_significant(bits, 6)};
}

pass::Budget kl_budget(double nats) {
  return {pass::BudgetKind::kKlMean, nats, {}, "kl_mean: " + format_significant(nats, 6)};
}

void name_calibration(const std::string& name, CalibrationSource& source) {
  if (name.empty()) return;
  source.teacher = name == "teacher";
  source.chat = name.ends_with(".jsonl") ? name : "";
  const bool file = !source.teacher && source.chat.empty();
  name_file(file ? name : "", source.text, source.data);
  if (file) return;
  source.text.clear();
  source.data = {};
}

Expected<Recipe> read_recipe(const std::string& source, const ReadOptions& options) {
  THIMBLE_ASSIGN(const Source opened, open_source(source, ""));
  return read_opened(opened, options);
}

Expected<std::string> recipe_text(const std::string& source) {
  THIMBLE_ASSIGN(Source opened, open_source(source, ""));
  return std::move(opened.text);
}

Expected<Recipe> parse_recipe(std::string_view text, const std::string& file,
                              const ReadOptions& options) {
  return read_opened({file, std::string(text), ""}, options);
}

}  // namespace thimble::recipe

#include "recipe/recipe.h"

#include <algorithm>
#include <array>
#include <filesystem>

#include "recipe/sections.h"
#include "recipe/source.h"
#include "support/mistakes.h"
#include "support/text.h"

namespace thimble::recipe {
namespace {

using pass::OptionValue;

constexpr int kMaxExtends = 8;

Error wrong(const Place& place, std::string message) {
  return Error(ErrorCode::kInvalidRecipe, std::move(message)).at(place);
}

const OptionValue* find(const OptionValue::Map& map, std::string_view key) {
  const auto at =
      std::find_if(map.begin(), map.end(), [&](const auto& entry) { return entry.first == key; });
  return at == map.end() ? nullptr : &at->second;
}

// --set PASS.OPTION=VALUE.
struct Override {
  std::string setting, pass, option;
  OptionValue value;
};

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

const std::vector<std::string> kCaches = {"f32", "f16", "int8", "int4"};

// What several files, or a file and the command line, are read with.
struct Reading {
  const ReadOptions& options;
  const std::vector<Override>& overrides;
  Names& variables;  // that the files name
};

class Parser {
 public:
  Parser(const Reading& reading, std::string directory)
      : reading_(reading), directory_(std::move(directory)) {}

  Status parse(const OptionValue& root, Recipe& recipe) {
    if (root.map() == nullptr)
      return wrong(root.place, "a recipe is a map that starts with 'version: 1'");
    THIMBLE_TRY(check_versions(root));
    Mistakes mistakes;
    for (const auto& [key, value] : *root.map()) mistakes.add(parse_key(key, value, recipe));
    return std::move(mistakes).status();
  }

 private:
  std::string beside(const std::string& path) const {
    const std::filesystem::path p(path);
    return p.is_absolute() || directory_.empty() ? path
                                                 : (std::filesystem::path(directory_) / p).string();
  }

  // A text goes before a data set, so both at once would hide one of them.
  Expected<DataSet> data_set(const pass::Options& checked) const {
    THIMBLE_ASSIGN(DataSet set, data_set_of(checked));
    if (!set.empty() && checked.has("text"))
      return wrong(checked.place("text"), "a 'text' and a data set exclude each other");
    for (std::string* path : paths_of(set)) *path = beside(*path);
    return set;
  }

  // Before anything that a program of another version might not know.
  static Status check_versions(const OptionValue& root) {
    const OptionValue* version = find(*root.map(), "version");
    if (version == nullptr) return wrong(root.place, "a recipe starts with 'version: 1'");
    const auto* number = std::get_if<std::int64_t>(&version->value);
    if (number == nullptr || *number != 1) {
      return wrong(version->place, "recipe version " + version->to_string() +
                                       " is not known; this program reads version 1");
    }
    const OptionValue* required = find(*root.map(), "requires");
    return required == nullptr ? ok() : check_required(*required);
  }

  using Parse = Status (Parser::*)(const OptionValue&, Recipe&) const;

  Status parse_key(const std::string& key, const OptionValue& value, Recipe& recipe) const {
    static const std::pair<std::string, Parse> kKeys[] = {
        {"version", &Parser::skip},
        {"requires", &Parser::skip},
        {"seed", &Parser::parse_seed},
        {"extends", &Parser::skip},
        {"model", &Parser::parse_model},
        {"cache", &Parser::parse_cache},
        {"calibrate", &Parser::parse_calibration},
        {"tune", &Parser::parse_tune},
        {"passes", &Parser::parse_passes},
        {"budget", &Parser::parse_budget},
        {"evaluate", &Parser::parse_evaluation},
        {"gates", &Parser::parse_gates},
    };
    std::vector<std::string> names;
    for (const auto& [name, parse] : kKeys) {
      if (key == name) return (this->*parse)(value, recipe);
      names.push_back(name);
    }
    return wrong(value.place, "unknown key '" + key + "'" + suggestion(key, names, "keys"));
  }

  // What check_versions and read_into have seen to.
  Status skip(const OptionValue&, Recipe&) const { return ok(); }

  // 'thimble >= 0.1'.
  static Status check_required(const OptionValue& required) {
    const std::string* text = required.text();
    std::array<int, 3> wanted{}, ours{};
    int end = -1;
    if (text != nullptr)
      std::sscanf(text->c_str(), "thimble >= %5d.%5d%n.%5d%n", &wanted[0], &wanted[1], &end,
                  &wanted[2], &end);
    if (end < 0 || static_cast<std::size_t>(end) != text->size())
      return wrong(required.place, "'requires' reads 'thimble >= VERSION', such as thimble >= 0.1");
    std::sscanf(THIMBLE_VERSION, "%d.%d.%d", &ours[0], &ours[1], &ours[2]);
    if (ours >= wanted) return ok();
    return wrong(required.place,
                 "the recipe requires " + *text + "; this program is version " THIMBLE_VERSION);
  }

  Status parse_model(const OptionValue& value, Recipe& recipe) const {
    THIMBLE_ASSIGN(const pass::Options options, pass::Options::check(model_options(), value));
    if (options.has("path")) recipe.model_path = beside(options.text("path"));
    recipe.model_sha256 = options.text("sha256");
    if (!options.has("sha256")) return ok();
    recipe.model_sha256_place = options.place("sha256");
    for (char& c : recipe.model_sha256) {
      if (c >= 'A' && c <= 'F') c = static_cast<char>(c - 'A' + 'a');
    }
    const bool digits =
        recipe.model_sha256.find_first_not_of("0123456789abcdef") == std::string::npos;
    if (digits && recipe.model_sha256.size() == 64) return ok();
    return wrong(recipe.model_sha256_place,
                 "'sha256' is 64 hexadecimal digits, as sha256sum prints them");
  }

  // One type, or those of keys and values apart.
  Status parse_cache(const OptionValue& cache, Recipe& recipe) const {
    const auto read = [](const OptionValue& value, std::string& out) -> Status {
      out = value.to_string();
      if (std::find(kCaches.begin(), kCaches.end(), out) != kCaches.end()) return ok();
      return wrong(value.place, "'cache' is '" + out + "'" + suggestion(out, kCaches, "types"));
    };
    if (cache.map() == nullptr) return read(cache, recipe.cache);
    const OptionValue* keys = find(*cache.map(), "keys");
    const OptionValue* values = find(*cache.map(), "values");
    if (keys == nullptr || values == nullptr || cache.map()->size() != 2)
      return wrong(cache.place, "'cache' takes a type, or {keys: TYPE, values: TYPE}");
    Mistakes mistakes;
    mistakes.add(read(*keys, recipe.cache));
    mistakes.add(read(*values, recipe.value_cache));
    return std::move(mistakes).status();
  }

  Status parse_seed(const OptionValue& seed, Recipe& recipe) const {
    const auto* value = std::get_if<std::int64_t>(&seed.value);
    if (value == nullptr || *value < 0)
      return wrong(seed.place, "'seed' takes a whole number from 0 to 9223372036854775807");
    recipe.seed = static_cast<std::uint64_t>(*value);
    return ok();
  }

  const pass::Registration* registration(std::string_view name) const {
    for (const pass::Registration& r : reading_.options.registry) {
      if (r.info.name == name) return &r;
    }
    return nullptr;
  }

  Status parse_passes(const OptionValue& passes, Recipe& recipe) const {
    if (passes.list() == nullptr) return wrong(passes.place, "'passes' is a list");
    recipe.passes.clear();
    Mistakes mistakes;
    for (const OptionValue& item : *passes.list())
      mistakes.take(parse_pass(item), recipe.passes.emplace_back());
    return std::move(mistakes).status();
  }

  Expected<pass::Step> parse_pass(const OptionValue& item) const {
    const bool alone = item.text() != nullptr;
    if (!alone && (item.map() == nullptr || item.map()->size() != 1))
      return wrong(item.place, "a pass reads '- NAME' or '- NAME: {option: value}'");
    const std::string& name = alone ? *item.text() : item.map()->front().first;
    const OptionValue own =
        alone ? OptionValue{OptionValue::Map{}, item.place} : item.map()->front().second;
    const pass::Registration* known = registration(name);
    if (known == nullptr) {
      std::vector<std::string> names;
      for (const pass::Registration& r : reading_.options.registry) names.push_back(r.info.name);
      return wrong(own.place, "unknown pass '" + name + "'" + suggestion(name, names, "passes"));
    }
    THIMBLE_ASSIGN(pass::Options checked,
                   pass::Options::check(known->info.options, with_overrides(name, own)));
    THIMBLE_TRY(known->make()->configure(checked));
    return pass::Step{known, std::move(checked)};
  }

  // The pass's options with what --set says about it.
  OptionValue with_overrides(const std::string& name, OptionValue own) const {
    if (std::holds_alternative<std::monostate>(own.value)) own.value = OptionValue::Map{};
    auto* map = std::get_if<OptionValue::Map>(&own.value);
    for (const Override& set : reading_.overrides) {
      if (set.pass != name || map == nullptr) continue;
      std::erase_if(*map, [&](const auto& entry) { return entry.first == set.option; });
      map->emplace_back(set.option, set.value);
    }
    return own;
  }

  Status parse_evaluation(const OptionValue& value, Recipe& recipe) const {
    THIMBLE_ASSIGN(const pass::Options checked, pass::Options::check(evaluate_options(), value));
    if (checked.has("text")) recipe.evaluation.text = beside(checked.text("text"));
    recipe.evaluation.context = checked.integer("context");
    recipe.evaluation.stride = checked.integer("stride");
    recipe.evaluation.max_windows = checked.integer("max_windows");
    recipe.evaluation.greedy_windows = checked.integer("greedy_windows");
    THIMBLE_ASSIGN(recipe.evaluation.data, data_set(checked));
    return ok();
  }

  // One source, in the place of an extended recipe's. Only what calibrates takes conversations.
  Status parse_source(const pass::Options& checked, CalibrationSource& source,
                      bool takes_chat = false) const {
    CalibrationSource given;
    if (checked.has("text")) given.text = beside(checked.text("text"));
    if (takes_chat && checked.has("chat")) given.chat = beside(checked.text("chat"));
    given.teacher = checked.boolean("teacher");
    THIMBLE_ASSIGN(given.data, data_set(checked));
    const int sources = int{!given.text.empty()} + int{!given.chat.empty()} + int{given.teacher} +
                        int{!given.data.empty()};
    if (sources > 1)
      return wrong(checked.place(given.chat.empty() ? "teacher" : "chat"),
                   std::string("'text', ") + (takes_chat ? "'chat', " : "") +
                       "'teacher' and a data set exclude each other");
    if (sources == 0) return ok();
    given.imatrix = source.imatrix;
    source = std::move(given);
    return ok();
  }

  static Expected<std::int64_t> context_of(const pass::Options& checked) {
    const std::int64_t context = checked.integer("context");
    if (context == 0 || context >= 8) return context;
    return wrong(checked.place("context"), "'context' is 0, or 8 tokens and more");
  }

  Status parse_calibration(const OptionValue& value, Recipe& recipe) const {
    THIMBLE_ASSIGN(const pass::Options checked, pass::Options::check(calibrate_options(), value));
    Mistakes mistakes;
    mistakes.add(parse_source(checked, recipe.calibration, true));
    if (checked.has("imatrix")) recipe.calibration.imatrix = beside(checked.text("imatrix"));
    recipe.calibration.tokens = checked.integer("tokens");
    mistakes.take(context_of(checked), recipe.calibration.context);
    if (recipe.calibration.context > recipe.calibration.tokens) {
      mistakes.add(wrong(checked.place("context"),
                         "a 'context' of " + std::to_string(recipe.calibration.context) +
                             " does not fit into " + std::to_string(recipe.calibration.tokens) +
                             " 'tokens'"));
    }
    recipe.calibration.stride = checked.integer("stride");
    return std::move(mistakes).status();
  }

  Status parse_tune(const OptionValue& value, Recipe& recipe) const {
    THIMBLE_ASSIGN(const pass::Options checked, pass::Options::check(tune_options(), value));
    Mistakes mistakes;
    mistakes.add(parse_source(checked, recipe.tune));
    recipe.tune.tokens = checked.integer("tokens");
    mistakes.take(context_of(checked), recipe.tune.context);
    return std::move(mistakes).status();
  }

  Status parse_budget(const OptionValue& value, Recipe& recipe) const {
    THIMBLE_ASSIGN(const pass::Options checked, pass::Options::check(budget_options(), value));
    std::vector<std::string> kinds;
    for (const char* kind : {"size", "bits_per_weight", "kl_mean"}) {
      if (checked.has(kind)) kinds.emplace_back(kind);
    }
    if (kinds.size() != 1)
      return wrong(kinds.empty() ? value.place : checked.place(kinds[1]),
                   "a budget is one of 'size', 'bits_per_weight' and 'kl_mean'");
    const std::string& kind = kinds.front();
    if (kind == "size") {
      auto budget = size_budget(checked.text(kind));
      if (!budget) return wrong(checked.place(kind), budget.error().message);
      recipe.budget = *std::move(budget);
    } else {
      const double number = checked.real(kind);
      recipe.budget = kind == "kl_mean" ? kl_budget(number) : bits_budget(number);
    }
    if (checked.text("sensitivity") == "kl") recipe.budget.sensitivity = pass::Sensitivity::kKl;
    return ok();
  }

  Status parse_gates(const OptionValue& gates, Recipe& recipe) const {
    if (gates.list() == nullptr)
      return wrong(gates.place, "'gates' is a list such as [kl_mean <= 0.05]");
    recipe.gates.clear();
    Mistakes mistakes;
    for (const OptionValue& gate : *gates.list()) {
      if (gate.text() == nullptr) {
        mistakes.add(wrong(gate.place, "a gate reads 'METRIC <= VALUE'"));
      } else {
        mistakes.take(eval::parse_gate(*gate.text(), gate.place), recipe.gates.emplace_back());
      }
    }
    return std::move(mistakes).status();
  }

  const Reading& reading_;
  std::string directory_;
};

Status read_into(const Source& source, const Reading& reading, int depth, Recipe& recipe);

// The recipe that this one extends.
Status read_base(const OptionValue& base, const Source& source, const Reading& reading, int depth,
                 Recipe& recipe) {
  if (base.text() == nullptr)
    return wrong(base.place, "'extends' takes a file or a shipped recipe's name");
  if (depth == kMaxExtends) {
    return wrong(base.place, "'extends' goes round in a circle, or over more than " +
                                 std::to_string(kMaxExtends) + " recipes");
  }
  auto opened = open_source(*base.text(), source.directory);
  if (!opened) return wrong(base.place, opened.error().message);
  return read_into(*opened, reading, depth + 1, recipe);
}

Status read_into(const Source& source, const Reading& reading, int depth, Recipe& recipe) {
  Mistakes mistakes;
  THIMBLE_ASSIGN(
      const OptionValue root,
      parse_yaml(source.text, source.file, reading.options.variables, reading.variables, mistakes));
  const OptionValue* base = root.map() != nullptr ? find(*root.map(), "extends") : nullptr;
  if (base != nullptr) mistakes.add(read_base(*base, source, reading, depth, recipe));
  recipe.text += source.text;
  mistakes.add(Parser(reading, source.directory).parse(root, recipe));
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

#include "recipe/keys.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>

#include "recipe/sections.h"
#include "support/mistakes.h"
#include "support/text.h"

namespace thimble::recipe {
namespace {

using pass::OptionValue;
using pass::wrong;

const std::vector<std::string> kCaches = {"f32", "f16", "int8", "int4"};

class Keys {
 public:
  explicit Keys(const KeyReading& reading) : reading_(reading) {}

  Status parse(const OptionValue& root, Recipe& recipe) {
    if (root.map() == nullptr)
      return wrong(root, "a recipe is a map that starts with 'version: 1'");
    THIMBLE_TRY(check_versions(root));
    Mistakes mistakes;
    for (const auto& [key, value] : *root.map()) mistakes.add(parse_key(key, value, recipe));
    return std::move(mistakes).status();
  }

 private:
  std::string beside(const std::string& path) const {
    const std::filesystem::path p(path);
    if (p.is_absolute() || reading_.directory.empty()) return path;
    return (reading_.directory / p).string();
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
    const OptionValue* version = root.find("version");
    if (version == nullptr) return wrong(root, "a recipe starts with 'version: 1'");
    const auto* number = std::get_if<std::int64_t>(&version->value);
    if (number == nullptr || *number != 1) {
      return wrong(*version, "recipe version " + version->to_string() +
                                 " is not known; this program reads version 1");
    }
    const OptionValue* required = root.find("requires");
    return required == nullptr ? ok() : check_required(*required);
  }

  using Parse = Status (Keys::*)(const OptionValue&, Recipe&) const;

  Status parse_key(const std::string& key, const OptionValue& value, Recipe& recipe) const {
    static const std::pair<std::string, Parse> kKeys[] = {
        {"version", &Keys::skip},
        {"requires", &Keys::skip},
        {"seed", &Keys::parse_seed},
        {"extends", &Keys::skip},
        {"model", &Keys::parse_model},
        {"cache", &Keys::parse_cache},
        {"calibrate", &Keys::parse_calibration},
        {"tune", &Keys::parse_tune},
        {"passes", &Keys::parse_passes},
        {"budget", &Keys::parse_budget},
        {"evaluate", &Keys::parse_evaluation},
        {"gates", &Keys::parse_gates},
    };
    std::vector<std::string> names;
    for (const auto& [name, parse] : kKeys) {
      if (key == name) return (this->*parse)(value, recipe);
      names.push_back(name);
    }
    return wrong(value, "unknown key '" + key + "'" + suggestion(key, names, "keys"));
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
      return wrong(required, "'requires' reads 'thimble >= VERSION', such as thimble >= 0.1");
    std::sscanf(THIMBLE_VERSION, "%d.%d.%d", &ours[0], &ours[1], &ours[2]);
    if (ours >= wanted) return ok();
    return wrong(required,
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
      return wrong(value, "'cache' is '" + out + "'" + suggestion(out, kCaches, "types"));
    };
    if (cache.map() == nullptr) return read(cache, recipe.cache);
    const OptionValue* keys = cache.find("keys");
    const OptionValue* values = cache.find("values");
    if (keys == nullptr || values == nullptr || cache.map()->size() != 2)
      return wrong(cache, "'cache' takes a type, or {keys: TYPE, values: TYPE}");
    Mistakes mistakes;
    mistakes.add(read(*keys, recipe.cache));
    mistakes.add(read(*values, recipe.value_cache));
    return std::move(mistakes).status();
  }

  Status parse_seed(const OptionValue& seed, Recipe& recipe) const {
    const auto* value = std::get_if<std::int64_t>(&seed.value);
    if (value == nullptr || *value < 0)
      return wrong(seed, "'seed' takes a whole number from 0 to 9223372036854775807");
    recipe.seed = static_cast<std::uint64_t>(*value);
    return ok();
  }

  const pass::Registration* registration(std::string_view name) const {
    for (const pass::Registration& r : reading_.registry) {
      if (r.info.name == name) return &r;
    }
    return nullptr;
  }

  Status parse_passes(const OptionValue& passes, Recipe& recipe) const {
    if (passes.list() == nullptr) return wrong(passes, "'passes' is a list");
    recipe.passes.clear();
    Mistakes mistakes;
    for (const OptionValue& item : *passes.list())
      mistakes.take(parse_pass(item), recipe.passes.emplace_back());
    return std::move(mistakes).status();
  }

  Expected<pass::Step> parse_pass(const OptionValue& item) const {
    const bool alone = item.text() != nullptr;
    if (!alone && (item.map() == nullptr || item.map()->size() != 1))
      return wrong(item, "a pass reads '- NAME' or '- NAME: {option: value}'");
    const std::string& name = alone ? *item.text() : item.map()->front().first;
    const OptionValue own =
        alone ? OptionValue{OptionValue::Map{}, item.place} : item.map()->front().second;
    const pass::Registration* known = registration(name);
    if (known == nullptr) {
      std::vector<std::string> names;
      for (const pass::Registration& r : reading_.registry) names.push_back(r.info.name);
      return wrong(own, "unknown pass '" + name + "'" + suggestion(name, names, "passes"));
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
    recipe.evaluation.context = checked.has("context") ? checked.integer("context") : 0;
    recipe.evaluation.stride = checked.integer("stride");
    recipe.evaluation.max_windows = checked.integer("max_windows");
    recipe.evaluation.greedy_windows = checked.integer("greedy_windows");
    THIMBLE_ASSIGN(recipe.evaluation.data, data_set(checked));
    return ok();
  }

  // One source, in the place of an extended recipe's. `names`: of its options, for errors.
  Status parse_source(const pass::Options& checked, const std::string& names,
                      CalibrationSource& source) const {
    CalibrationSource given;
    if (checked.has("text")) given.text = beside(checked.text("text"));
    if (checked.has("chat")) given.chat = beside(checked.text("chat"));
    given.teacher = checked.boolean("teacher");
    THIMBLE_ASSIGN(given.data, data_set(checked));
    const int sources = int{!given.text.empty()} + int{!given.chat.empty()} + int{given.teacher} +
                        int{!given.data.empty()};
    if (sources > 1)
      return wrong(checked.place(given.chat.empty() ? "teacher" : "chat"),
                   names + " and a data set exclude each other");
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
    mistakes.add(parse_source(checked, "'text', 'chat', 'teacher'", recipe.calibration));
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
    mistakes.add(parse_source(checked, "'text', 'teacher'", recipe.tune));
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
    if (gates.list() == nullptr) return wrong(gates, "'gates' is a list such as [kl_mean <= 0.05]");
    recipe.gates.clear();
    Mistakes mistakes;
    for (const OptionValue& gate : *gates.list()) {
      if (gate.text() == nullptr) {
        mistakes.add(wrong(gate, "a gate reads 'METRIC <= VALUE'"));
      } else {
        mistakes.take(eval::parse_gate(*gate.text(), gate.place), recipe.gates.emplace_back());
      }
    }
    return std::move(mistakes).status();
  }

  const KeyReading& reading_;
};

}  // namespace

Status read_keys(const OptionValue& root, const KeyReading& reading, Recipe& recipe) {
  return Keys(reading).parse(root, recipe);
}

}  // namespace thimble::recipe

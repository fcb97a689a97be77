#include "pass/options.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

#include "pass/selector.h"
#include "support/mistakes.h"
#include "support/text.h"

namespace thimble::pass {
namespace {

std::string number_text(double value) {
  if (value == std::floor(value) && std::abs(value) < 1e15)
    return std::to_string(static_cast<std::int64_t>(value));
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value).ptr;
  return std::string(buffer, end);
}

Status check_range(const OptionInfo& info, const OptionValue& value, double number) {
  const bool any = info.minimum == info.maximum && info.numbers.empty();
  const bool listed =
      std::find(info.numbers.begin(), info.numbers.end(), number) != info.numbers.end();
  if (any || listed || (number >= info.minimum && number <= info.maximum)) return ok();
  return wrong(value, "'" + info.name + "' is " + number_text(number) +
                          (info.numbers.empty() ? "; it must lie in " : "; it can be ") +
                          numbers_text(info));
}

Status check_word(const OptionInfo& info, const OptionValue& value, const std::string& word) {
  if (std::find(info.words.begin(), info.words.end(), word) != info.words.end()) return ok();
  std::string message =
      "'" + info.name + "' is '" + word + "'; it can be " + join(info.words, ", ");
  if (info.type == OptionType::kIntegerOrWord) message += " or a number";
  if (info.type == OptionType::kBool) message += ", true or false";
  return wrong(value, message + did_you_mean(word, info.words));
}

std::string_view type_text(OptionType type) {
  switch (type) {
    case OptionType::kBool:
      return "true or false";
    case OptionType::kInteger:
      return "a whole number";
    case OptionType::kReal:
      return "a number";
    case OptionType::kWord:
      return "a word";
    case OptionType::kIntegerOrWord:
      return "a whole number or a word";
    case OptionType::kText:
      return "text";
    case OptionType::kReals:
      return "a number or a list of numbers";
    case OptionType::kSelector:
      return "a selector such as {role: mlp}";
    case OptionType::kRules:
      return "a list of rules such as [{role: embedding, bits: 8}]";
  }
  return "";
}

std::optional<double> number_of(const OptionValue& value) {
  if (const auto* whole = std::get_if<std::int64_t>(&value.value))
    return static_cast<double>(*whole);
  if (const auto* real = std::get_if<double>(&value.value)) return *real;
  return std::nullopt;
}

Error wrong_type(const OptionInfo& info, const OptionValue& value) {
  Error error = wrong(value, "'" + info.name + "' takes " + std::string(type_text(info.type)) +
                                 ", not " + value.to_string());
  const auto* real = std::get_if<double>(&value.value);  // 4.0 is told as 4
  const bool whole = real != nullptr && value.to_string().find_first_of(".e") == std::string::npos;
  return whole ? std::move(error).fix("write it without a point or an exponent") : error;
}

Status check_numbers(const OptionInfo& info, const OptionValue& value) {
  const OptionValue::List one = {value};
  const OptionValue::List& items = value.list() != nullptr ? *value.list() : one;
  if (items.empty()) return wrong_type(info, value);
  Mistakes mistakes;
  for (const OptionValue& item : items) {
    const std::optional<double> number = number_of(item);
    mistakes.add(number ? check_range(info, item, *number) : wrong_type(info, item));
  }
  return std::move(mistakes).status();
}

// Conditions, `skip` and the pass's own options, side by side.
Status check_rule(const std::vector<OptionInfo>& infos, const OptionValue& rule) {
  if (rule.map() == nullptr)
    return wrong(rule, "a rule is a map such as {role: embedding, bits: 8}");
  std::vector<std::string> known = Selector::keys();
  known.push_back("skip");
  for (const OptionInfo& info : infos) known.push_back(info.name);
  OptionValue::Map own, conditions;
  Mistakes mistakes;
  for (const auto& [key, value] : *rule.map()) {
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      mistakes.add(wrong(value, "unknown condition or option '" + key + "'" +
                                    suggestion(key, known, "conditions and options")));
    } else if (key != "skip") {
      (Selector::is_key(key) ? conditions : own).emplace_back(key, value);
    } else if (!std::holds_alternative<bool>(value.value)) {
      mistakes.add(wrong(value, "'skip' takes true or false"));
    }
  }
  mistakes.add(Selector::parse({std::move(conditions), rule.place}));
  mistakes.add(Options::check(infos, {std::move(own), rule.place}));
  return std::move(mistakes).status();
}

Status check_rules(std::vector<OptionInfo> infos, const OptionValue& rules) {
  std::erase_if(infos, [](const OptionInfo& info) {
    return info.type == OptionType::kRules || info.type == OptionType::kSelector;
  });
  Mistakes mistakes;
  for (const OptionValue& rule : *rules.list()) mistakes.add(check_rule(infos, rule));
  return std::move(mistakes).status();
}

Status check_value(const std::vector<OptionInfo>& infos, const OptionInfo& info,
                   const OptionValue& value) {
  const auto* integer = std::get_if<std::int64_t>(&value.value);
  const auto* real = std::get_if<double>(&value.value);
  switch (info.type) {
    case OptionType::kBool:
      if (std::holds_alternative<bool>(value.value)) return ok();
      if (value.text() != nullptr && !info.words.empty())
        return check_word(info, value, *value.text());
      break;
    case OptionType::kInteger:
      if (integer != nullptr) return check_range(info, value, static_cast<double>(*integer));
      break;
    case OptionType::kReal:
      if (integer != nullptr) return check_range(info, value, static_cast<double>(*integer));
      if (real != nullptr) return check_range(info, value, *real);
      break;
    case OptionType::kIntegerOrWord:
      if (integer != nullptr) return check_range(info, value, static_cast<double>(*integer));
      [[fallthrough]];
    case OptionType::kWord:
      if (value.text() != nullptr) return check_word(info, value, *value.text());
      break;
    case OptionType::kText:
      if (value.text() != nullptr) return ok();
      break;
    case OptionType::kReals:
      return check_numbers(info, value);
    case OptionType::kSelector:
      if (value.map() == nullptr) break;
      THIMBLE_TRY(Selector::parse(value));
      return ok();
    case OptionType::kRules:
      if (value.list() == nullptr) break;
      return check_rules(infos, value);
  }
  return wrong_type(info, value);
}

}  // namespace

Error wrong(const OptionValue& value, std::string message) {
  return wrong(value.place, std::move(message));
}

Error wrong(const Place& place, std::string message) {
  return Error(ErrorCode::kInvalidRecipe, std::move(message)).at(place);
}

const OptionValue* OptionValue::find(std::string_view key) const {
  if (map() == nullptr) return nullptr;
  const auto at =
      std::find_if(map()->begin(), map()->end(), [&](const auto& e) { return e.first == key; });
  return at == map()->end() ? nullptr : &at->second;
}

std::string OptionValue::to_string() const {
  struct Printer {
    std::string operator()(std::monostate) const { return "null"; }
    std::string operator()(bool b) const { return b ? "true" : "false"; }
    std::string operator()(std::int64_t i) const { return std::to_string(i); }
    std::string operator()(double d) const { return number_text(d); }
    std::string operator()(const std::string& s) const { return s; }
    std::string operator()(const List& list) const {
      std::string out = "[";
      for (const OptionValue& item : list) out += (out.size() > 1 ? ", " : "") + item.to_string();
      return out + "]";
    }
    std::string operator()(const Map& map) const {
      std::string out = "{";
      for (const auto& [key, item] : map)
        out += (out.size() > 1 ? ", " : "") + key + ": " + item.to_string();
      return out + "}";
    }
  };
  return std::visit(Printer{}, value);
}

std::string numbers_text(const OptionInfo& info) {
  if (info.minimum != info.maximum)
    return number_text(info.minimum) + ".." + number_text(info.maximum);
  std::vector<std::string> numbers;
  for (const std::int64_t number : info.numbers) numbers.push_back(std::to_string(number));
  return join(numbers, ", ");
}

Expected<Options> Options::check(const std::vector<OptionInfo>& infos, const OptionValue& map) {
  Options options;
  options.infos_ = infos;
  if (std::holds_alternative<std::monostate>(map.value)) return options;
  if (map.map() == nullptr)
    return wrong(map, "options are a map such as {bits: 4}, not " + map.to_string());
  std::vector<std::string> names;
  for (const OptionInfo& info : infos) names.push_back(info.name);
  Mistakes mistakes;
  for (const auto& [key, value] : *map.map()) {
    const auto info = std::find_if(infos.begin(), infos.end(),
                                   [&name = key](const OptionInfo& i) { return i.name == name; });
    mistakes.add(info != infos.end() ? check_value(infos, *info, value)
                                     : wrong(value, "unknown option '" + key + "'" +
                                                        suggestion(key, names, "options")));
    options.values_.emplace_back(key, value);
  }
  THIMBLE_TRY(std::move(mistakes).status());
  return options;
}

const OptionValue* Options::find(std::string_view name) const {
  for (const auto& [key, value] : values_) {
    if (key == name) return &value;
  }
  return nullptr;
}

const OptionInfo& Options::info(std::string_view name) const {
  for (const OptionInfo& info : infos_) {
    if (info.name == name) return info;
  }
  check_failed("option is described", __FILE__, __LINE__, std::string(name));
}

bool Options::boolean(std::string_view name) const {
  if (const OptionValue* value = find(name)) return std::get<bool>(value->value);
  return info(name).fallback == "true";
}

std::int64_t Options::integer(std::string_view name) const {
  if (const OptionValue* value = find(name)) return std::get<std::int64_t>(value->value);
  const std::string& text = info(name).fallback;
  std::int64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

double Options::real(std::string_view name) const {
  if (const OptionValue* value = find(name)) return *number_of(*value);
  const std::string& text = info(name).fallback;
  double number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

std::vector<double> Options::reals(std::string_view name) const {
  const OptionValue* value = find(name);
  if (value == nullptr || value->list() == nullptr) return {real(name)};
  std::vector<double> numbers;
  for (const OptionValue& item : *value->list()) numbers.push_back(*number_of(item));
  return numbers;
}

std::string Options::text(std::string_view name) const {
  const OptionValue* value = find(name);
  return value != nullptr ? value->to_string() : info(name).fallback;
}

Place Options::place(std::string_view name) const {
  const OptionValue* value = find(name);
  return value != nullptr ? value->place : Place{};
}

std::vector<std::pair<std::string, std::string>> Options::listed() const {
  std::vector<std::pair<std::string, std::string>> out;
  for (const OptionInfo& info : infos_) {
    const std::string value = text(info.name);
    if (!value.empty()) out.emplace_back(info.name, value);
  }
  return out;
}

}  // namespace thimble::pass

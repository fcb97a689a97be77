#pragma once
// What a pass can be told, described once: the recipe's validation, `thimble passes` and
// docs/RECIPES.md all come from these descriptions.

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "support/expected.h"

namespace thimble::pass {

struct OptionEntry;

// A value as the user wrote it, with its place, so that a later complaint can point at it.
struct OptionValue {
  using List = std::vector<OptionValue>;
  using Map = std::vector<OptionEntry>;  // in the order of the recipe
  std::variant<std::monostate, bool, std::int64_t, double, std::string, List, Map> value;
  Place place;

  const std::string* text() const { return std::get_if<std::string>(&value); }
  const List* list() const { return std::get_if<List>(&value); }
  const Map* map() const { return std::get_if<Map>(&value); }
  // Of a map's key; null: the map has no such key, or this is no map.
  const OptionValue* find(std::string_view key) const;
  std::string to_string() const;  // YAML flow style, for reports
};

// A complaint about a value, at its place.
Error wrong(const OptionValue& value, std::string message);
Error wrong(const Place& place, std::string message);

// A key and its value. (clang cannot make a pair of a type that is not complete yet.)
struct OptionEntry {
  OptionEntry(std::string key, OptionValue value)
      : first(std::move(key)), second(std::move(value)) {}
  std::string first;
  OptionValue second;
};

enum class OptionType : std::uint8_t {
  kBool,           // or one of `words`
  kInteger,        // minimum..maximum, or one of `numbers`
  kReal,           // minimum..maximum
  kWord,           // one of `words`
  kIntegerOrWord,  // either
  kText,
  kReals,     // a number, or a list of them; each in minimum..maximum
  kSelector,  // {name: GLOB or list, operator: ..., role: ..., first: N, last: N}
  kRules,     // a list of selectors with the pass's own options beside them
};

struct OptionInfo {
  std::string name;
  OptionType type = OptionType::kText;
  std::string fallback;  // the default as it would be written; empty: none
  std::string unit;      // "bits", "inputs"; may be empty
  std::string help;      // one clause
  double minimum = 0;
  double maximum = 0;
  std::vector<std::int64_t> numbers;
  std::vector<std::string> words;
};

std::string numbers_text(const OptionInfo& info);  // "2..8", "0, 4, 6, 8"; empty: any

// The options of one pass as the recipe sets them, checked against their descriptions.
class Options {
 public:
  // Unknown names, wrong types and values out of range are errors at the value's place, with a
  // suggestion.
  static Expected<Options> check(const std::vector<OptionInfo>& infos, const OptionValue& map);

  bool has(std::string_view name) const { return find(name) != nullptr; }
  const OptionValue* find(std::string_view name) const;
  bool boolean(std::string_view name) const;  // the user's value or the default
  std::int64_t integer(std::string_view name) const;
  double real(std::string_view name) const;
  std::string text(std::string_view name) const;
  std::vector<double> reals(std::string_view name) const;
  Place place(std::string_view name) const;
  // Every option with its value, defaults included: what the report and the fingerprint record.
  std::vector<std::pair<std::string, std::string>> listed() const;

 private:
  const OptionInfo& info(std::string_view name) const;
  std::vector<OptionInfo> infos_;
  OptionValue::Map values_;
};

}  // namespace thimble::pass

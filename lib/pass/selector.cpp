#include "pass/selector.h"

#include <algorithm>
#include <array>

namespace thimble::pass {
namespace {

constexpr std::array<std::string_view, 5> kKeys = {"name", "operator", "role", "first", "last"};
const std::vector<std::string> kRoles = {"embedding", "lm_head", "attention", "mlp"};

// One word or a list of words.
Expected<std::vector<std::string>> words_of(std::string_view key, const OptionValue& value) {
  if (value.text() != nullptr) return std::vector<std::string>{*value.text()};
  if (value.list() == nullptr)
    return wrong(value, "'" + std::string(key) + "' takes a word or a list of words");
  std::vector<std::string> words;
  for (const OptionValue& item : *value.list()) {
    if (item.text() == nullptr)
      return wrong(item, "'" + std::string(key) + "' takes words, not " + item.to_string());
    words.push_back(*item.text());
  }
  return words;
}

Expected<std::int64_t> count_of(std::string_view key, const OptionValue& value) {
  const auto* number = std::get_if<std::int64_t>(&value.value);
  if (number == nullptr || *number < 1) {
    return wrong(value, "'" + std::string(key) + "' takes a number of layers, 1 or more");
  }
  return *number;
}

bool any_equal(const std::vector<std::string>& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

}  // namespace

bool glob_match(std::string_view pattern, std::string_view text) {
  std::size_t p = 0, t = 0, star = std::string_view::npos, resume = 0;
  while (t < text.size()) {
    if (p < pattern.size() && (pattern[p] == '?' || (pattern[p] == text[t] && pattern[p] != '*'))) {
      ++p, ++t;
    } else if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

std::vector<std::string> Selector::keys() { return {kKeys.begin(), kKeys.end()}; }

bool Selector::is_key(std::string_view key) {
  return std::find(kKeys.begin(), kKeys.end(), key) != kKeys.end();
}

Expected<Selector> Selector::parse(const OptionValue& value) {
  if (value.map() == nullptr) return wrong(value, "a selector is a map such as {role: mlp}");
  Selector selector;
  for (const auto& [key, item] : *value.map()) {
    if (key == "name") {
      THIMBLE_ASSIGN(selector.names, words_of(key, item));
    } else if (key == "operator") {
      THIMBLE_ASSIGN(selector.operators, words_of(key, item));
    } else if (key == "role") {
      THIMBLE_ASSIGN(selector.roles, words_of(key, item));
      for (const std::string& role : selector.roles) {
        if (any_equal(kRoles, role)) continue;
        return wrong(item, "unknown role '" + role + "'" + suggestion(role, kRoles, "roles"));
      }
    } else if (key == "first") {
      THIMBLE_ASSIGN(selector.first, count_of(key, item));
    } else if (key == "last") {
      THIMBLE_ASSIGN(selector.last, count_of(key, item));
    } else {
      return wrong(item, "unknown selector key '" + key + "'" + suggestion(key, keys(), "keys"));
    }
  }
  return selector;
}

Expected<Selector> Selector::only(const Options& options) {
  const OptionValue* only = options.find("only");
  return only == nullptr ? Selector() : parse(*only);
}

bool Selector::matches(const ir::Model& model, const ir::WeightUse& use, int layer_count) const {
  const auto& weight = model.weight(use.weight);
  const bool name_ok =
      names.empty() || std::any_of(names.begin(), names.end(), [&](const std::string& pattern) {
        return glob_match(pattern, weight.name);
      });
  const bool operator_ok = operators.empty() || any_equal(operators, use.operator_name);
  const bool role_ok = roles.empty() || any_equal(roles, use.role);
  bool layer_ok = first == 0 && last == 0;
  if (use.layer >= 0) layer_ok = layer_ok || use.layer < first || use.layer >= layer_count - last;
  return name_ok && operator_ok && role_ok && layer_ok;
}

}  // namespace thimble::pass

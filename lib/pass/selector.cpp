#include "pass/selector.h"

#include <algorithm>
#include <array>

#include "support/mistakes.h"

namespace thimble::pass {
namespace {

constexpr std::array<std::string_view, 5> kKeys = {"name", "operator", "role", "first", "last"};
const std::vector<std::string> kRoles = {"embedding", "lm_head", "attention", "mlp"};

bool any_equal(const std::vector<std::string>& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

// One word or a list of words, of the roles where it names some.
Expected<std::vector<std::string>> words_of(std::string_view key, const OptionValue& value) {
  const OptionValue::List one = {value};
  std::vector<std::string> words;
  Mistakes mistakes;
  for (const OptionValue& item : value.list() != nullptr ? *value.list() : one) {
    if (item.text() == nullptr) {
      mistakes.add(wrong(item, "'" + std::string(key) + "' takes a word or a list of words, not " +
                                   item.to_string()));
      continue;
    }
    const std::string& word = words.emplace_back(*item.text());
    if (key == "role" && !any_equal(kRoles, word))
      mistakes.add(wrong(item, "unknown role '" + word + "'" + suggestion(word, kRoles, "roles")));
  }
  THIMBLE_TRY(std::move(mistakes).status());
  return words;
}

Expected<std::int64_t> count_of(std::string_view key, const OptionValue& value) {
  const auto* number = std::get_if<std::int64_t>(&value.value);
  if (number == nullptr || *number < 1) {
    return wrong(value, "'" + std::string(key) + "' takes a number of layers, 1 or more");
  }
  return *number;
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
  Mistakes mistakes;
  for (const auto& [key, item] : *value.map()) {
    if (key == "name") {
      mistakes.take(words_of(key, item), selector.names);
    } else if (key == "operator") {
      mistakes.take(words_of(key, item), selector.operators);
    } else if (key == "role") {
      mistakes.take(words_of(key, item), selector.roles);
    } else if (key == "first") {
      mistakes.take(count_of(key, item), selector.first);
    } else if (key == "last") {
      mistakes.take(count_of(key, item), selector.last);
    } else {
      mistakes.add(
          wrong(item, "unknown selector key '" + key + "'" + suggestion(key, keys(), "keys")));
    }
  }
  THIMBLE_TRY(std::move(mistakes).status());
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

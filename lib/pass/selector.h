#pragma once
// Which weights a rule means: by name glob, operator, role and place in the network.

#include <string>
#include <string_view>
#include <vector>

#include "ir/match.h"
#include "pass/options.h"

namespace thimble::pass {

// `*` any run, `?` any one character.
bool glob_match(std::string_view pattern, std::string_view text);

// All conditions that are given must hold; within one, any of its words.
struct Selector {
  std::vector<std::string> names;      // globs over the weight's name
  std::vector<std::string> operators;  // "MatMul", "Gather", ...
  std::vector<std::string> roles;      // "embedding", "lm_head", "attention", "mlp"
  std::int64_t first = 0;              // layers counted from the start
  std::int64_t last = 0;               // layers counted from the end; with `first`, either

  static Expected<Selector> parse(const OptionValue& value);
  // Of a pass's option `only`; all weights where it is not set.
  static Expected<Selector> only(const Options& options);
  // Is `key` one of a selector's own keys? Rules hold these beside the pass's options.
  static bool is_key(std::string_view key);
  static std::vector<std::string> keys();
  bool matches(const ir::Model& model, const ir::WeightUse& use, int layer_count) const;
};

}  // namespace thimble::pass

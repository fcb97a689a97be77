#pragma once
// YAML as a recipe may use it: maps, lists, plain and quoted scalars, each with its place. What
// YAML would silently accept and we could not mean is refused: duplicate keys, merge keys, several
// documents, `yes` for true, `010` for 8, tags.

#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pass/options.h"
#include "support/mistakes.h"

namespace thimble::recipe {

using Variables = std::vector<std::pair<std::string, std::string>>;
using Names = std::set<std::string>;

// Plain scalars become bool, integer, real or text; quoted ones text. ${NAME} is replaced from
// `variables`, the last of a name, which is then one of those `read`. Where a value cannot be read,
// a mistake says why and null stands for it; an error is where nothing can be.
Expected<pass::OptionValue> parse_yaml(std::string_view text, const std::string& file,
                                       const Variables& variables, Names& read, Mistakes& mistakes);

// One value as on the command line: `4`, `true`, `[a, b]`, `{role: mlp}`.
Expected<pass::OptionValue> parse_yaml_value(std::string_view text, const std::string& what);

}  // namespace thimble::recipe

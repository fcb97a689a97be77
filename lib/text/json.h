#pragma once
// JSON from files that nobody vouches for: bounded in size and depth, no duplicate keys.

#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "support/expected.h"

namespace thimble::text {

using Json = nlohmann::json;

inline constexpr std::size_t kMaxJsonBytes = 256u << 20;
inline constexpr int kMaxJsonDepth = 64;

// The error of a text that nests deeper: a parser recurses, so this is asked before one starts.
Status check_json_depth(std::string_view text, const std::string& file);
Expected<Json> parse_json(std::string_view text, const std::string& file);
Expected<Json> read_json(const std::string& path);

// A member of an object: "" and `fallback` where there is none of that type.
std::string text_of(const Json& json, const char* key);
bool flag_of(const Json& json, const char* key, bool fallback);

}  // namespace thimble::text

#include "text/json.h"

#include <set>
#include <vector>

#include "support/mapped_file.h"

namespace thimble::text {
namespace {

// The offset where it is too deep, or npos.
std::size_t too_deep_at(std::string_view text) {
  int depth = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c == '\\')
        ++i;
      else if (c == '"')
        quoted = false;
    } else if (c == '"') {
      quoted = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kMaxJsonDepth) return i;
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return std::string_view::npos;
}

}  // namespace

Status check_json_depth(std::string_view text, const std::string& file) {
  const std::size_t at = too_deep_at(text);
  if (at == std::string_view::npos) return ok();
  return invalid_file("nested too deeply").in(file).at_offset(at);
}

Expected<Json> parse_json(std::string_view text, const std::string& file) {
  if (text.size() > kMaxJsonBytes) return invalid_file("a JSON file has at most 256 MB").in(file);
  THIMBLE_TRY(check_json_depth(text, file));
  std::vector<std::set<std::string>> keys;
  std::string twice;
  auto watch = [&](int depth, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::object_start) {
      keys.resize(static_cast<std::size_t>(depth) + 2);
      keys.back().clear();
    }
    if (event == Json::parse_event_t::key &&
        !keys[static_cast<std::size_t>(depth)].insert(parsed.get<std::string>()).second)
      twice = parsed.get<std::string>();
    return true;
  };
  try {
    Json json = Json::parse(text.begin(), text.end(), watch);
    if (!twice.empty()) return invalid_file("the key '" + twice + "' is given twice").in(file);
    return json;
  } catch (const Json::parse_error& e) {
    return invalid_file("not JSON").in(file).at_offset(e.byte);
  } catch (const Json::exception& e) {
    return invalid_file(std::string("not JSON: ") + e.what()).in(file);
  }
}

Expected<Json> read_json(const std::string& path) {
  THIMBLE_ASSIGN(const auto file, MappedFile::open(path));
  return parse_json(file->text(), path);
}

std::string text_of(const Json& json, const char* key) {
  return json.is_object() && json.contains(key) && json[key].is_string()
             ? json[key].get<std::string>()
             : "";
}

bool flag_of(const Json& json, const char* key, bool fallback) {
  return json.is_object() && json.contains(key) && json[key].is_boolean() ? json[key].get<bool>()
                                                                          : fallback;
}

}  // namespace thimble::text

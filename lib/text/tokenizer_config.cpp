// tokenizer_config.json: what it adds to a vocabulary.

#include <charconv>

#include "text/added_token.h"
#include "text/compile.h"
#include "text/json.h"

namespace thimble::text {
namespace {

using namespace tokenizer;  // NOLINT: this file writes its tables

constexpr std::int32_t kMostTokens = 2'000'000;

std::string token_text(const Json& json, const char* key) {
  if (!json.is_object() || !json.contains(key)) return "";
  return json[key].is_object() ? text_of(json[key], "content") : text_of(json, key);
}

std::int32_t find_token(const Tables& tables, const std::string& text) {
  for (const AddedToken& added : tables.added) {
    if (added.text == text) return added.id;
  }
  for (std::size_t i = 0; i < tables.tokens.size(); ++i) {
    if (tables.tokens[i].bytes == text) return static_cast<std::int32_t>(i);
  }
  return -1;
}

// In its place, whether the vocabulary has that id or not.
Status add_token(AddedToken added, Tables& tables) {
  const auto id = static_cast<std::size_t>(added.id);
  if (id >= tables.tokens.size()) tables.tokens.resize(id + 1, {"", 0, TokenKind::kUnused});
  Token& token = tables.tokens[id];
  const bool is_new = token.kind == TokenKind::kUnused && token.bytes.empty();
  if (!is_new && token.bytes != added.text)
    return invalid_file("added token " + std::to_string(added.id) +
                        " is another in the vocabulary");
  token.bytes = added.text;
  if (added.id != tables.unknown)
    token.kind = added.special ? TokenKind::kControl : TokenKind::kUserDefined;
  std::erase_if(tables.added, [&](const AddedToken& known) { return known.id == added.id; });
  tables.added.push_back(std::move(added));
  return ok();
}

Status add_tokens(const Json& config, Tables& tables) {
  const auto decoder = config.find("added_tokens_decoder");
  if (decoder == config.end() || !decoder->is_object()) return ok();
  for (const auto& [key, item] : decoder->items()) {
    std::int32_t id = -1;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (error != std::errc() || end != key.data() + key.size() || id < 0 || id > kMostTokens)
      return invalid_file("an added token has no id");
    AddedToken added = added_token_of(item, id);
    if (!added.text.empty()) THIMBLE_TRY(add_token(std::move(added), tables));
  }
  return ok();
}

}  // namespace

Status apply_tokenizer_config(std::string_view json, const std::string& file, bool bare,
                              Tables& tables) {
  THIMBLE_ASSIGN(const Json config, parse_json(json, file));
  if (bare && config.is_object()) {
    if (Status status = add_tokens(config, tables); !status)
      return std::move(status).error().in(file);
  }
  const std::pair<const char*, std::int32_t*> kTokens[] = {{"bos_token", &tables.bos},
                                                           {"eos_token", &tables.eos},
                                                           {"unk_token", &tables.unknown},
                                                           {"pad_token", &tables.pad}};
  for (const auto& [key, id] : kTokens) {
    const std::string text = token_text(config, key);
    if (text.empty()) continue;
    if (const std::int32_t found = find_token(tables, text); found >= 0) *id = found;
  }
  if (!bare || tables.algorithm == Algorithm::kWordPiece) return ok();
  tables.prefix.clear();
  if (flag_of(config, "add_bos_token", true) && tables.bos >= 0) tables.prefix = {tables.bos};
  if (flag_of(config, "add_eos_token", false) && tables.eos >= 0) tables.suffix = {tables.eos};
  return ok();
}

}  // namespace thimble::text

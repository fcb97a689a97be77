// vocab.json and merges.txt: what older folders have of byte-level BPE. With what the tokenizer's
// class adds they become the tokenizer.json that the folder would have.

#include <algorithm>
#include <set>

#include "text/compile.h"
#include "text/json.h"
#include "text/known_patterns.h"

namespace thimble::text {
namespace {

using tokenizer::Tables;

constexpr const char* kRoles[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                  "pad_token", "cls_token", "mask_token"};

struct TokenizerClass {
  std::string_view name,
      architecture;      // the class, or what a model's begins with where none is named
  const char* specials;  // unless the folder says others
  bool qwen2 = false;    // Qwen 2's pattern and composed text
  bool around = false;   // cls_token and sep_token around texts
};
constexpr TokenizerClass kClasses[] = {
    {.name = "GPT2Tokenizer",
     .architecture = "GPT2",
     .specials =
         R"({"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>"})"},
    {.name = "RobertaTokenizer",
     .architecture = "Roberta",
     .specials =
         R"({"bos_token": "<s>", "eos_token": "</s>", "sep_token": "</s>", "cls_token": "<s>",
             "unk_token": "<unk>", "pad_token": "<pad>", "mask_token": "<mask>"})",
     .around = true},
    {.name = "Qwen2Tokenizer",
     .architecture = "Qwen",
     .specials =
         R"({"eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>", "pad_token": "<|endoftext|>"})",
     .qwen2 = true},
};

Expected<const TokenizerClass*> class_of(const Json& config, const std::string& architecture) {
  std::string name = text_of(config, "tokenizer_class");
  if (name.ends_with("Fast")) name.resize(name.size() - 4);
  for (const TokenizerClass& known : kClasses) {
    if (name.empty() ? architecture.starts_with(known.architecture) : name == known.name)
      return &known;
  }
  return unsupported("tokenizer '" + (name.empty() ? architecture : name) +
                     "' is not read from vocab.json; supported are GPT2, Roberta and Qwen2")
      .fix("save a tokenizer.json beside it");
}

Expected<Json> object_of(std::string_view text, const std::string& file) {
  if (text.empty()) return Json::object();
  THIMBLE_ASSIGN(Json json, parse_json(text, file));
  return json.is_object() ? Expected<Json>(std::move(json)) : invalid_file("is not a map").in(file);
}

class Assembler {
 public:
  Assembler(const TokenizerClass& kind, Json config, Json vocabulary)
      : kind_(kind), config_(std::move(config)), vocabulary_(std::move(vocabulary)) {}

  // Special tokens by their roles: the class's, those of tokenizer_config.json, and, of folders
  // from before added_tokens_decoder, those of special_tokens_map.json.
  void specials(const Json& map) {
    specials_ = Json::parse(kind_.specials);
    const bool old = !config_.contains("added_tokens_decoder");
    for (const Json* from : {static_cast<const Json*>(&config_), old ? &map : nullptr}) {
      for (const char* role : kRoles) take(from, role);
      take(from, "additional_special_tokens");
    }
  }

  Json tokenizer_json(std::string_view merges, const Json& added) {
    Json model = {{"type", "BPE"}, {"merges", lines_of(merges)}};
    Json out = {{"added_tokens", added_tokens(added)},
                {"pre_tokenizer", pre_tokenizer()},
                {"post_processor", post_processor()},
                {"decoder", {{"type", "ByteLevel"}}}};
    if (kind_.qwen2) out["normalizer"] = {{"type", "NFC"}};
    model["vocab"] = std::move(vocabulary_);
    out["model"] = std::move(model);
    return out;
  }

  const Json& special_tokens() const { return specials_; }

 private:
  void take(const Json* from, const char* key) {
    if (from != nullptr && from->contains(key) && !(*from)[key].is_null())
      specials_[key] = (*from)[key];
  }

  static Json lines_of(std::string_view text) {
    Json out = Json::array();
    while (!text.empty()) {
      const std::size_t end = std::min(text.find('\n'), text.size());
      std::string_view line = text.substr(0, end);
      text.remove_prefix(std::min(end + 1, text.size()));
      if (line.ends_with('\r')) line.remove_suffix(1);
      if (!line.empty() && !line.starts_with("#version")) out.push_back(line);
    }
    return out;
  }

  Json pre_tokenizer() const {
    const Json bytes = {{"type", "ByteLevel"},
                        {"add_prefix_space", flag_of(config_, "add_prefix_space", false)},
                        {"use_regex", !kind_.qwen2}};
    if (!kind_.qwen2) return bytes;
    const Json split = {
        {"type", "Split"}, {"pattern", {{"Regex", kQwen2Pattern}}}, {"behavior", "Isolated"}};
    return {{"type", "Sequence"}, {"pretokenizers", {split, bytes}}};
  }

  static std::string content(const Json& token) {
    return token.is_string() ? token.get<std::string>() : text_of(token, "content");
  }
  std::string special(const char* role) const { return content(specials_.value(role, Json())); }

  Json post_processor() const {
    if (kind_.around) return template_of({special("cls_token"), "", special("sep_token")});
    if (flag_of(config_, "add_bos_token", false)) return template_of({special("bos_token"), ""});
    return {{"type", "ByteLevel"}};
  }

  static Json template_of(const std::vector<std::string>& parts) {  // "": the text
    Json single = Json::array();
    for (const std::string& part : parts)
      single.push_back(part.empty() ? Json{{"Sequence", {{"id", "A"}}}}
                                    : Json{{"SpecialToken", {{"id", part}}}});
    return {{"type", "TemplateProcessing"}, {"single", single}};
  }

  // The tokens that are cut out of texts, by id: added_tokens_decoder's as they stand, then
  // added_tokens.json's, then special ones that the vocabulary has.
  Json added_tokens(const Json& added) const {
    Json out = Json::array();
    std::set<std::string> known;
    const auto add = [&](Json token, const Json& id, bool is_special) {
      if (token.is_string()) token = {{"content", token}};
      if (!token.is_object() || !id.is_number_integer()) return;
      if (!known.insert(text_of(token, "content")).second) return;
      token["id"] = id;
      if (!token.contains("special") || is_special) token["special"] = is_special;
      out.push_back(std::move(token));
    };
    const Json decoder = config_.value("added_tokens_decoder", Json::object());
    for (const auto& [id, token] : decoder.items())
      add(token, number_of(id), flag_of(token, "special", false));
    const std::vector<Json> tokens = special_list();
    for (const Json& token : tokens) {
      const std::string text = content(token);
      add(token, added.contains(text) ? added[text] : vocabulary_.value(text, Json()), true);
    }
    for (const auto& [text, id] : added.items()) add(text, id, false);
    return out;
  }

  static Json number_of(const std::string& text) {
    const Json id = Json::parse(text, nullptr, false);
    return id.is_discarded() ? Json() : id;
  }

  std::vector<Json> special_list() const {
    std::vector<Json> out;
    for (const char* role : kRoles) {
      if (specials_.contains(role)) out.push_back(specials_[role]);
    }
    const Json more = specials_.value("additional_special_tokens", Json::array());
    if (more.is_array()) out.insert(out.end(), more.begin(), more.end());
    return out;
  }

  const TokenizerClass& kind_;
  Json config_, vocabulary_, specials_;
};

}  // namespace

Expected<Tables> compile_vocab_merges(const VocabMerges& files, const std::string& folder) {
  THIMBLE_ASSIGN(Json vocabulary, object_of(files.vocabulary, folder + "/vocab.json"));
  THIMBLE_ASSIGN(Json config, object_of(files.config, folder + "/tokenizer_config.json"));
  THIMBLE_ASSIGN(const Json map, object_of(files.special, folder + "/special_tokens_map.json"));
  THIMBLE_ASSIGN(const Json added, object_of(files.added, folder + "/added_tokens.json"));
  const auto kind = class_of(config, files.architecture);
  if (!kind) return Error(kind.error()).in(folder + "/vocab.json");
  Assembler assembler(**kind, std::move(config), std::move(vocabulary));
  assembler.specials(map);
  // Merges that aren't UTF-8 then name no token.
  const std::string json = assembler.tokenizer_json(files.merges, added)
                               .dump(-1, ' ', false, Json::error_handler_t::replace);
  THIMBLE_ASSIGN(Tables tables, compile_tokenizer_json(json, folder + "/vocab.json"));
  THIMBLE_TRY(apply_tokenizer_config(assembler.special_tokens().dump(), folder + "/vocab.json",
                                     false, tables));
  return tables;
}

}  // namespace thimble::text

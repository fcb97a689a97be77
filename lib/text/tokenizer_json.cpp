// tokenizer.json of Hugging Face's `tokenizers`.

#include <unordered_map>

#include "text/added_token.h"
#include "text/compile.h"
#include "text/json.h"
#include "text/known_patterns.h"
#include "text/pattern.h"

namespace thimble::text {
namespace {

using namespace tokenizer;  // NOLINT: this file writes its tables

// One element, or the elements of a Sequence.
std::vector<Json> steps_of(const Json& json, const char* list) {
  if (!json.is_object()) return {};
  if (text_of(json, "type") != "Sequence") return {json};
  std::vector<Json> out;
  if (json.contains(list) && json[list].is_array()) {
    for (const Json& item : json[list]) {
      for (const Json& inner : steps_of(item, list)) out.push_back(inner);
    }
  }
  return out;
}

class Compiler {
 public:
  explicit Compiler(const Json& json) : json_(json) {}

  Expected<Tables> compile() {
    if (!json_.is_object() || !json_.contains("model") || !json_["model"].is_object())
      return invalid_file("has no model");
    const Json& model = json_["model"];
    const std::string type = model_type(model);
    for (const Json& step : steps_of(member("pre_tokenizer"), "pretokenizers"))
      THIMBLE_TRY(pre_tokenizer(step));
    if (type == "BPE") {
      THIMBLE_TRY(bpe(model));
    } else if (type == "Unigram") {
      THIMBLE_TRY(unigram(model));
    } else if (type == "WordPiece") {
      THIMBLE_TRY(wordpiece(model));
    } else {
      return unsupported("model type '" + type +
                         "' is not supported; supported are BPE, Unigram, WordPiece");
    }
    for (const Json& step : steps_of(member("normalizer"), "normalizers"))
      THIMBLE_TRY(normalizer(step));
    THIMBLE_TRY(added_tokens());
    for (const Json& step : steps_of(member("post_processor"), "processors"))
      THIMBLE_TRY(post_processor(step));
    THIMBLE_TRY(decoders());
    THIMBLE_TRY(verify(tables_));
    return std::move(tables_);
  }

 private:
  Json member(const char* key) const { return json_.contains(key) ? json_[key] : Json(); }

  static std::string model_type(const Json& model) {
    const std::string type = text_of(model, "type");
    if (!type.empty()) return type;
    if (model.contains("merges")) return "BPE";
    return model.contains("continuing_subword_prefix") ? "WordPiece" : "Unigram";
  }

  Status set_token(std::int64_t id, std::string bytes, float score = 0) {
    if (id < 0 || id > 2'000'000) return invalid_file("a token's id is out of range");
    if (static_cast<std::size_t>(id) >= tables_.tokens.size())
      tables_.tokens.resize(static_cast<std::size_t>(id) + 1, {"", 0, TokenKind::kUnused});
    tables_.tokens[static_cast<std::size_t>(id)] = {std::move(bytes), score, TokenKind::kNormal};
    return ok();
  }

  Status vocabulary(const Json& model) {
    if (!model.contains("vocab") || !model["vocab"].is_object())
      return invalid_file("has no vocabulary");
    for (const auto& [token, id] : model["vocab"].items()) {
      if (!id.is_number_integer()) return invalid_file("a token has no id");
      ids_[token] = id.get<std::int32_t>();
      auto bytes = tables_.byte_level ? alphabet_to_bytes(token) : Expected<std::string>(token);
      // Added tokens stand in the vocabulary as plain text.
      THIMBLE_TRY(set_token(id.get<std::int64_t>(), bytes ? *bytes : token));
    }
    return ok();
  }

  Status bpe(const Json& model) {
    tables_.algorithm = Algorithm::kMergeRanks;
    tables_.byte_fallback = flag_of(model, "byte_fallback", false);
    tables_.ignore_merges = flag_of(model, "ignore_merges", false);
    if (!text_of(model, "continuing_subword_prefix").empty() ||
        !text_of(model, "end_of_word_suffix").empty()) {
      return unsupported(
          "BPE with a continuing_subword_prefix or an end_of_word_suffix is not supported");
    }
    THIMBLE_TRY(vocabulary(model));
    if (const std::string unknown = text_of(model, "unk_token"); !unknown.empty())
      tables_.unknown = id_of(unknown);
    if (!model.contains("merges") || !model["merges"].is_array())
      return invalid_file("has no merges");
    for (const Json& merge : model["merges"]) THIMBLE_TRY(add_merge(merge));
    return ok();
  }

  Status add_merge(const Json& merge) {
    std::string left, right;
    if (merge.is_string()) {
      const std::string both = merge.get<std::string>();
      const auto space = both.find(' ', 1);
      if (space == std::string::npos) return invalid_file("a merge is not two tokens");
      left = both.substr(0, space), right = both.substr(space + 1);
    } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() &&
               merge[1].is_string()) {
      left = merge[0].get<std::string>(), right = merge[1].get<std::string>();
    } else {
      return invalid_file("a merge is not two tokens");
    }
    const Merge out{id_of(left), id_of(right), id_of(left + right)};
    if (out.left < 0 || out.right < 0 || out.merged < 0)
      return invalid_file("a merge names a token that isn't in the vocabulary");
    tables_.merges.push_back(out);
    return ok();
  }

  Status unigram(const Json& model) {
    tables_.algorithm = Algorithm::kUnigram;
    tables_.byte_fallback = flag_of(model, "byte_fallback", false);
    if (!model.contains("vocab") || !model["vocab"].is_array())
      return invalid_file("has no vocabulary");
    std::int64_t id = 0;
    for (const Json& piece : model["vocab"]) {
      if (!piece.is_array() || piece.size() != 2 || !piece[0].is_string() || !piece[1].is_number())
        return invalid_file("a piece is not a text and a score");
      ids_[piece[0].get<std::string>()] = static_cast<std::int32_t>(id);
      THIMBLE_TRY(set_token(id++, piece[0].get<std::string>(), piece[1].get<float>()));
    }
    if (model.contains("unk_id") && model["unk_id"].is_number_integer())
      tables_.unknown = model["unk_id"].get<std::int32_t>();
    return ok();
  }

  Status wordpiece(const Json& model) {
    tables_.algorithm = Algorithm::kWordPiece;
    tables_.continuing_prefix = text_of(model, "continuing_subword_prefix");
    if (model.contains("max_input_chars_per_word") &&
        model["max_input_chars_per_word"].is_number_integer())
      tables_.max_word = model["max_input_chars_per_word"].get<std::int64_t>();
    THIMBLE_TRY(vocabulary(model));
    tables_.unknown = id_of(text_of(model, "unk_token"));
    return ok();
  }

  std::int32_t id_of(const std::string& token) const {
    const auto at = ids_.find(token);
    return at == ids_.end() ? -1 : at->second;
  }

  void normalize(Normalize what, std::string a = "", std::string b = "") {
    tables_.normalizers.push_back({what, std::move(a), std::move(b)});
  }

  Status normalizer(const Json& step) {
    const std::string type = text_of(step, "type");
    if (type == "NFC")
      normalize(Normalize::kNfc);
    else if (type == "NFD")
      normalize(Normalize::kNfd);
    else if (type == "NFKC")
      normalize(Normalize::kNfkc);
    else if (type == "NFKD")
      normalize(Normalize::kNfkd);
    else if (type == "Lowercase")
      normalize(Normalize::kLowercase);
    else if (type == "StripAccents")
      normalize(Normalize::kStripAccents);
    else if (type == "Prepend")
      normalize(Normalize::kPrepend, text_of(step, "prepend"));
    else if (type == "Strip")
      normalize(Normalize::kStrip, flag_of(step, "strip_left", true) ? "1" : "0",
                flag_of(step, "strip_right", true) ? "1" : "0");
    else if (type == "BertNormalizer")
      bert_normalizer(step);
    else if (type == "Precompiled")
      return precompiled(step);
    else if (type == "Replace")
      return replace(step);
    else
      return unsupported("normalizer '" + type + "' is not supported");
    return ok();
  }

  Status precompiled(const Json& step) {
    const auto charsmap = base64_to_bytes(text_of(step, "precompiled_charsmap"));
    if (!charsmap) return invalid_file("normalizer Precompiled has no table in base64");
    if (!charsmap->empty()) normalize(Normalize::kCharsmapClusters, *charsmap);
    return ok();
  }

  Status replace(const Json& step) {
    const Json pattern = step.contains("pattern") ? step["pattern"] : Json();
    const std::string text = text_of(pattern, "String"), regex = text_of(pattern, "Regex"),
                      to = text_of(step, "content");
    if (text.empty() && regex.empty()) return invalid_file("normalizer Replace has no pattern");
    if (regex == " {2,}") {
      normalize(Normalize::kReplaceSpaces, to);
    } else if (regex == R"(\s+)") {
      normalize(Normalize::kReplaceWhite, to);
    } else if (regex.empty()) {
      normalize(Normalize::kReplace, text, to);
    } else {
      THIMBLE_TRY(compile_pattern(regex));
      normalize(Normalize::kReplacePattern, regex, to);
    }
    return ok();
  }

  void bert_normalizer(const Json& step) {
    const bool lower = flag_of(step, "lowercase", true);
    if (flag_of(step, "clean_text", true)) normalize(Normalize::kBertClean);
    if (flag_of(step, "handle_chinese_chars", true)) normalize(Normalize::kBertChinese);
    if (flag_of(step, "strip_accents", lower)) {
      normalize(Normalize::kNfd);
      normalize(Normalize::kStripAccents);
    }
    if (lower) normalize(Normalize::kLowercase);
  }

  void split(Split what, std::string a = "") { tables_.splits.push_back({what, std::move(a)}); }

  Status pre_tokenizer(const Json& step) {
    const std::string type = text_of(step, "type");
    if (type == "ByteLevel") {
      tables_.byte_level = true;
      if (flag_of(step, "add_prefix_space", true)) split(Split::kPrefixSpace);
      if (flag_of(step, "use_regex", true)) split(Split::kGpt2);
    } else if (type == "Metaspace") {
      const std::string scheme = text_of(step, "prepend_scheme");
      const bool old = flag_of(step, "add_prefix_space", true);
      split(flag_of(step, "split", true) ? Split::kMetaspace : Split::kMetaspaceWhole,
            !scheme.empty() ? scheme
            : old           ? "always"
                            : "never");
    } else if (type == "Split") {
      return split_pattern(step);
    } else if (type == "Digits") {
      split(flag_of(step, "individual_digits", false) ? Split::kDigits : Split::kDigitGroups);
    } else if (type == "Whitespace") {
      split(Split::kWhitespace);
    } else if (type == "WhitespaceSplit") {
      split(Split::kSpaces);
    } else if (type == "Punctuation") {
      split(Split::kPunctuation);
    } else if (type == "BertPreTokenizer") {
      split(Split::kBert);
    } else {
      return unsupported("pre-tokenizer '" + type + "' is not supported");
    }
    return ok();
  }

  Status split_pattern(const Json& step) {
    const Json pattern = step.contains("pattern") ? step["pattern"] : Json();
    const std::string regex = text_of(pattern, "Regex");
    const std::string literal = text_of(pattern, "String");
    if (regex.empty() && literal.empty()) return invalid_file("a pre-tokenizer has no pattern");
    THIMBLE_ASSIGN(const Behavior behavior, behavior_of(text_of(step, "behavior")));
    const bool invert = flag_of(step, "invert", false);
    // The known patterns leave nothing unmatched, so these mean the same.
    const bool keeps_matches =
        invert ? behavior == Behavior::kRemoved : behavior == Behavior::kIsolated;
    if (keeps_matches && regex == kGpt2Pattern)
      split(Split::kGpt2);
    else if (keeps_matches && regex == kLlama3Pattern)
      split(Split::kLlama3);
    else if (keeps_matches && regex == kQwen2Pattern)
      split(Split::kQwen2);
    else if (regex.empty())
      tables_.splits.push_back(pattern_step(Split::kLiteral, behavior, invert, literal));
    else
      return split_regex(behavior, invert, regex);
    return ok();
  }

  Status split_regex(Behavior behavior, bool invert, const std::string& regex) {
    THIMBLE_TRY(compile_pattern(regex));
    tables_.splits.push_back(pattern_step(Split::kPattern, behavior, invert, regex));
    return ok();
  }

  static Expected<Behavior> behavior_of(const std::string& name) {
    if (name == "Isolated") return Behavior::kIsolated;
    if (name == "Removed") return Behavior::kRemoved;
    if (name == "MergedWithPrevious") return Behavior::kMergedWithPrevious;
    if (name == "MergedWithNext") return Behavior::kMergedWithNext;
    if (name == "Contiguous") return Behavior::kContiguous;
    return unsupported("a pre-tokenizer's behavior '" + name + "' is not supported");
  }

  Status added_tokens() {
    const Json list = member("added_tokens");
    if (!list.is_array()) return ok();
    for (const Json& item : list) {
      if (!item.is_object() || !item.contains("id") || !item["id"].is_number_integer())
        return invalid_file("an added token has no id");
      AddedToken added = added_token_of(item, item["id"].get<std::int32_t>());
      if (added.text.empty()) continue;
      ids_[added.text] = added.id;
      THIMBLE_TRY(set_token(added.id, added.text));
      tables_.tokens[static_cast<std::size_t>(added.id)].kind =
          added.special ? TokenKind::kControl : TokenKind::kUserDefined;
      tables_.added.push_back(std::move(added));
    }
    return ok();
  }

  Status post_processor(const Json& step) {
    const std::string type = text_of(step, "type");
    if (type == "ByteLevel") return ok();
    if (type == "BertProcessing" || type == "RobertaProcessing") {
      for (const auto& [key, ids] :
           {std::pair{"cls", &tables_.prefix}, std::pair{"sep", &tables_.suffix}}) {
        if (!step.contains(key) || !step[key].is_array() || step[key].size() != 2 ||
            !step[key][1].is_number_integer())
          return invalid_file("the post-processor names no token");
        ids->push_back(step[key][1].get<std::int32_t>());
      }
      return ok();
    }
    if (type != "TemplateProcessing")
      return unsupported("post-processor '" + type + "' is not supported");
    if (!step.contains("single") || !step["single"].is_array())
      return invalid_file("the post-processor has no template");
    bool before = true;
    for (const Json& piece : step["single"]) {
      if (piece.is_object() && piece.contains("Sequence")) before = false;
      if (!piece.is_object() || !piece.contains("SpecialToken")) continue;
      const std::int32_t id = id_of(text_of(piece["SpecialToken"], "id"));
      if (id < 0)
        return invalid_file("the post-processor names a token that isn't in the vocabulary");
      (before ? tables_.prefix : tables_.suffix).push_back(id);
    }
    return ok();
  }

  Status decoders() {
    for (const Json& step : steps_of(member("decoder"), "decoders")) {
      const std::string type = text_of(step, "type");
      if (type == "ByteLevel")
        tables_.decoders.push_back(Decode::kBytes);
      else if (type == "ByteFallback")
        tables_.decoders.push_back(Decode::kByteFallback);
      else if (type == "WordPiece")
        tables_.decoders.push_back(Decode::kWordPiece);
      else if (type == "Metaspace")
        tables_.decoders.insert(tables_.decoders.end(), {Decode::kMetaspace, Decode::kStripFirst});
      else if (type == "Strip")
        tables_.decoders.push_back(Decode::kStripFirst);
      else if (type == "Replace")
        tables_.decoders.push_back(Decode::kMetaspace);
      else if (type != "Fuse")
        return unsupported("decoder '" + type + "' is not supported");
    }
    return ok();
  }

  const Json& json_;
  Tables tables_;
  std::unordered_map<std::string, std::int32_t> ids_;
};

}  // namespace

Expected<Tables> compile_tokenizer_json(std::string_view json, const std::string& file) {
  THIMBLE_ASSIGN(const Json parsed, parse_json(json, file));
  auto tables = Compiler(parsed).compile();
  if (!tables) return std::move(tables).error().in(file);
  return tables;
}

}  // namespace thimble::text

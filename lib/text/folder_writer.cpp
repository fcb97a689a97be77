// Tables as the files that Hugging Face's libraries read: the tokenizers that GGUF files come with.

#include <cstring>
#include <unordered_set>

#include "text/added_token.h"
#include "text/compile.h"
#include "text/json.h"
#include "text/known_patterns.h"
#include "text/piece_types.h"
#include "tokenizer/unicode/unicode.h"

namespace thimble::text {
namespace {

using namespace tokenizer;  // NOLINT: this file reads its tables

using Spelling = std::vector<std::string>;  // of every token, by id

bool is_utf8(std::string_view text) {
  return unicode::encode_utf8(unicode::decode_utf8(text)) == text;
}

// As vocabularies have them: different texts, of UTF-8.
Expected<Spelling> spell(const Tables& tables) {
  Spelling out = spelled_tokens(tables);
  std::unordered_set<std::string_view> known;
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (!is_utf8(out[i]))
      return unsupported("token " + std::to_string(i) + " is not a text of UTF-8");
    if (out[i].empty() || !known.insert(out[i]).second)
      return unsupported("token " + std::to_string(i) + " has the text of another, or none");
  }
  return out;
}

// ---- tokenizer.json

Json byte_level(bool splits) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", false},
          {"trim_offsets", true},
          {"use_regex", splits}};
}

Expected<Json> pre_tokenizer_of(const Tables& tables) {
  Json steps = Json::array();
  bool splits = false;  // by ByteLevel itself, at GPT-2's pattern
  for (const SplitStep& step : tables.splits) {
    if (step.what == Split::kDigits) {
      steps.push_back({{"type", "Digits"}, {"individual_digits", true}});
    } else if (step.what == Split::kLlama3 || step.what == Split::kQwen2) {
      const auto pattern = step.what == Split::kLlama3 ? kLlama3Pattern : kQwen2Pattern;
      steps.push_back({{"type", "Split"},
                       {"pattern", {{"Regex", pattern}}},
                       {"behavior", "Isolated"},
                       {"invert", false}});
    } else if (step.what == Split::kGpt2 && &step == &tables.splits.back()) {
      splits = true;
    } else {
      return unsupported("a pre-tokenizer that is not written");
    }
  }
  steps.push_back(byte_level(splits));
  return Json{{"type", "Sequence"}, {"pretokenizers", steps}};
}

// What is put around a text, or a pair of them.
Json post_processor_of(const Tables& tables, const Spelling& spelling) {
  if (tables.prefix.empty() && tables.suffix.empty()) return byte_level(true);
  Json special = Json::object();
  const auto put = [&](const std::vector<std::int32_t>& ids, int type, Json& out) {
    for (const std::int32_t id : ids) {
      const std::string& text = spelling[static_cast<std::size_t>(id)];
      out.push_back({{"SpecialToken", {{"id", text}, {"type_id", type}}}});
      special[text] = {{"id", text}, {"ids", {id}}, {"tokens", {text}}};
    }
  };
  const auto one = [&](const char* name, int type, Json& out) {
    put(tables.prefix, type, out);
    out.push_back({{"Sequence", {{"id", name}, {"type_id", type}}}});
    put(tables.suffix, type, out);
  };
  Json single = Json::array(), pair = Json::array();
  one("A", 0, single);
  one("A", 0, pair);
  one("B", 1, pair);
  return {{"type", "TemplateProcessing"},
          {"single", single},
          {"pair", pair},
          {"special_tokens", special}};
}

Expected<std::string> tokenizer_json(const Tables& tables, const Spelling& spelling) {
  if (!tables.normalizers.empty()) return unsupported("a normalizer that is not written");
  Json model = {{"type", "BPE"},
                {"byte_fallback", false},
                {"ignore_merges", tables.ignore_merges},
                {"vocab", Json::object()},
                {"merges", Json::array()}};
  for (const char* none :
       {"dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix"})
    model[none] = nullptr;
  model["fuse_unk"] = false;
  for (std::size_t i = 0; i < spelling.size(); ++i) model["vocab"][spelling[i]] = i;
  for (const Merge& merge : tables.merges)
    model["merges"].push_back(spelling[static_cast<std::size_t>(merge.left)] + " " +
                              spelling[static_cast<std::size_t>(merge.right)]);
  Json added = Json::array();
  for (const AddedToken& token : tables.added) {
    added.push_back(to_json(token));
    added.back()["id"] = token.id;
  }
  THIMBLE_ASSIGN(const Json pre_tokenizer, pre_tokenizer_of(tables));
  const Json out = {{"version", "1.0"},
                    {"truncation", nullptr},
                    {"padding", nullptr},
                    {"added_tokens", added},
                    {"normalizer", nullptr},
                    {"pre_tokenizer", pre_tokenizer},
                    {"post_processor", post_processor_of(tables, spelling)},
                    {"decoder", byte_level(true)},
                    {"model", model}};
  return out.dump(2) + "\n";
}

// ---- tokenizer.model (the fields: sentencepiece.cpp)

class Wire {
 public:
  void number(int field, std::uint64_t value) {
    varint(static_cast<std::uint64_t>(field) << 3);
    varint(value);
  }
  void text(int field, std::string_view value) {
    varint(static_cast<std::uint64_t>(field) << 3 | 2);
    varint(value.size());
    bytes_ += value;
  }
  void real(int field, float value) {
    varint(static_cast<std::uint64_t>(field) << 3 | 5);
    std::uint32_t bits = 0;
    std::memcpy(&bits, &value, sizeof bits);
    for (int shift = 0; shift < 32; shift += 8) bytes_ += static_cast<char>(bits >> shift & 0xff);
  }
  const std::string& bytes() const { return bytes_; }

 private:
  void varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>(value | 0x80);
    bytes_ += static_cast<char>(value);
  }
  std::string bytes_;
};

std::string trainer_spec(const Tables& tables, const Spelling& spelling) {
  Wire out;
  out.number(3, 2);  // BPE
  out.number(4, spelling.size());
  out.number(35, tables.byte_fallback ? 1 : 0);
  const std::int32_t ids[] = {tables.unknown, tables.bos, tables.eos, tables.pad};
  for (int i = 0; i < 4; ++i) out.number(40 + i, static_cast<std::uint64_t>(std::int64_t{ids[i]}));
  for (int i = 0; i < 4; ++i)
    if (ids[i] >= 0) out.text(45 + i, spelling[static_cast<std::size_t>(ids[i])]);
  return out.bytes();
}

Expected<std::string> sentencepiece_model(const Tables& tables, const Spelling& spelling) {
  bool prefix = false;
  for (const NormalizeStep& step : tables.normalizers) {
    if (step.what == Normalize::kPrepend)
      prefix = true;
    else if (step.what != Normalize::kReplace)
      return unsupported("a normalizer that is not written");
  }
  Wire out;
  for (std::size_t i = 0; i < spelling.size(); ++i) {
    const Token& token = tables.tokens[i];
    Wire piece;
    piece.text(1, spelling[i]);
    piece.real(2, token.score);
    piece.number(3, static_cast<std::uint64_t>(piece_type(token.kind)));
    out.text(1, piece.bytes());
  }
  Wire normalizer;
  normalizer.text(1, "identity");
  normalizer.number(3, prefix ? 1 : 0);
  normalizer.number(4, 0);
  normalizer.number(5, 1);
  out.text(2, trainer_spec(tables, spelling));
  out.text(3, normalizer.bytes());
  return out.bytes();
}

// ---- tokenizer_config.json

Json config_of(const Tables& tables, const Spelling& spelling, const std::string& chat_template) {
  Json out = {{"tokenizer_class", tables.byte_level ? "PreTrainedTokenizerFast" : "LlamaTokenizer"},
              {"clean_up_tokenization_spaces", false}};
  const std::pair<const char*, std::int32_t> kTokens[] = {{"bos_token", tables.bos},
                                                          {"eos_token", tables.eos},
                                                          {"unk_token", tables.unknown},
                                                          {"pad_token", tables.pad}};
  for (const auto& [key, id] : kTokens)
    if (id >= 0) out[key] = spelling[static_cast<std::size_t>(id)];
  for (const AddedToken& token : tables.added)
    out["added_tokens_decoder"][std::to_string(token.id)] = to_json(token);
  if (!tables.byte_level) {
    out["add_bos_token"] = !tables.prefix.empty();
    out["add_eos_token"] = !tables.suffix.empty();
    out["legacy"] = true;  // a space in front of what follows a special token, too
  }
  if (!chat_template.empty()) out["chat_template"] = chat_template;
  return out;
}

}  // namespace

Expected<std::vector<NamedFile>> to_folder(const Tables& tables, const std::string& chat_template) {
  const bool bytes = tables.algorithm == Algorithm::kMergeRanks && tables.byte_level;
  if (!bytes && tables.algorithm != Algorithm::kMergeScores)
    return unsupported("a tokenizer that is not written");
  if (!is_utf8(chat_template)) return unsupported("a chat template that is not UTF-8");
  THIMBLE_ASSIGN(const Spelling spelling, spell(tables));
  std::vector<NamedFile> out(2);
  out[0].name = bytes ? "tokenizer.json" : "tokenizer.model";
  THIMBLE_ASSIGN(out[0].content,
                 bytes ? tokenizer_json(tables, spelling) : sentencepiece_model(tables, spelling));
  out[1] = {"tokenizer_config.json", config_of(tables, spelling, chat_template).dump(2) + "\n"};
  return out;
}

}  // namespace thimble::text

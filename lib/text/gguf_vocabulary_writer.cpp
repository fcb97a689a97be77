// Tables as a vocabulary that llama.cpp reads; what it would read otherwise than it is meant is
// refused.

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "text/compile.h"
#include "text/piece_types.h"
#include "tokenizer/unicode/unicode.h"

namespace thimble::text {
namespace {

using namespace tokenizer;  // NOLINT: this file reads its tables

Error no_form(const std::string& what) {
  return unsupported("GGUF cannot say " + what + " of this tokenizer")
      .fix("write a .thimble file, or safetensors");
}

// The name of what cuts the text of a byte-level vocabulary into words.
Expected<std::string> pre_of(const Tables& tables) {
  for (const NormalizeStep& step : tables.normalizers) {
    // llama.cpp takes text for composed, as nearly all of it is.
    if (step.what != Normalize::kNfc) return no_form("the normalizer");
  }
  const auto& splits = tables.splits;
  const bool digits = splits.size() == 2 && splits[0].what == Split::kDigits;
  if (splits.size() == (digits ? 2 : 1)) {
    const Split last = splits.back().what;
    if (last == Split::kLlama3 && !digits) return tables.ignore_merges ? "llama-bpe" : "smaug-bpe";
    if (tables.ignore_merges) return no_form("that whole words go before merges");
    if (last == Split::kGpt2) return digits ? "smollm" : "gpt-2";
    if (last == Split::kQwen2 && !digits) return "qwen2";
  }
  return no_form("the pre-tokenizer");
}

std::uint64_t pair_of(std::int32_t left, std::int32_t right) {
  return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 |
         static_cast<std::uint32_t>(right);
}

// Merges of pieces as scores, the first the highest. Scores say no more than which pieces come
// first: each piece's merges must follow each other, and be all that there are.
Status score_merges(const Tables& tables, GgufVocabulary& v) {
  std::unordered_set<std::uint64_t> merges;
  std::unordered_map<std::string_view, std::int32_t> ids;
  for (std::size_t i = 0; i < v.tokens.size(); ++i)
    if (v.types[i] == 1) ids.emplace(v.tokens[i], static_cast<std::int32_t>(i));
  std::vector<bool> seen(v.tokens.size(), false);
  std::int32_t last = -1, order = 0;
  for (const Merge& merge : tables.merges) {
    merges.insert(pair_of(merge.left, merge.right));
    if (merge.merged == last) continue;
    last = merge.merged;
    if (seen[static_cast<std::size_t>(last)]) return no_form("the order of merges");
    seen[static_cast<std::size_t>(last)] = true;
    v.scores[static_cast<std::size_t>(last)] = -static_cast<float>(order++);
  }
  for (const auto& [text, id] : ids) {
    for (std::size_t at = 1; at < text.size(); ++at) {
      if ((static_cast<unsigned char>(text[at]) & 0xc0) == 0x80) continue;  // inside a character
      const auto left = ids.find(text.substr(0, at)), right = ids.find(text.substr(at));
      if (left != ids.end() && right != ids.end() &&
          !merges.contains(pair_of(left->second, right->second)))
        return no_form("that '" + std::string(text) + "' isn't merged from all its parts");
    }
  }
  return ok();
}

// "<0x41>": what a byte without a character of its own becomes.
bool is_byte(std::string_view text) {
  return text.size() == 6 && text.starts_with("<0x") && text.ends_with(">");
}

// Gemma's tokenizer.json cuts at spaces when its normalizer has replaced them all.
bool cuts_nothing(const Tables& tables, const SplitStep& step) {
  const auto replaces_spaces = [](const NormalizeStep& n) {
    return n.what == Normalize::kReplace && n.a == " " && n.b == kSpaceMark;
  };
  return step.what == Split::kLiteral && step.a.substr(1) == "0 " &&
         std::any_of(tables.normalizers.begin(), tables.normalizers.end(), replaces_spaces);
}

Status pieces(const Tables& tables, GgufVocabulary& v) {
  for (std::size_t i = 0; i < v.tokens.size(); ++i) {
    if (tables.byte_fallback && is_byte(v.tokens[i])) v.types[i] = piece_type(TokenKind::kByte);
    if (static_cast<std::int32_t>(i) == v.unknown) v.types[i] = piece_type(TokenKind::kUnknown);
  }
  v.add_space_prefix = false;
  for (const NormalizeStep& step : tables.normalizers)
    v.add_space_prefix = v.add_space_prefix || step.what == Normalize::kPrepend;
  for (const SplitStep& step : tables.splits) {
    if (cuts_nothing(tables, step)) continue;
    if (step.what != Split::kMetaspaceWhole) return no_form("the pre-tokenizer");
    v.add_space_prefix = v.add_space_prefix || step.a != "never";
  }
  return tables.algorithm == Algorithm::kMergeRanks ? score_merges(tables, v) : ok();
}

// Nothing, or the token that has that part everywhere.
Status around(const std::vector<std::int32_t>& put, std::int32_t& token, bool& add) {
  add = !put.empty();
  if (put.empty()) return ok();
  if (token < 0) token = put.front();
  return put.size() == 1 && put.front() == token ? ok()
                                                 : Status(no_form("what is put around texts"));
}

}  // namespace

Expected<GgufVocabulary> to_gguf(const Tables& tables) {
  GgufVocabulary v;
  const bool bytes = tables.byte_level;
  if (tables.algorithm == Algorithm::kWordPiece || tables.algorithm == Algorithm::kUnigram)
    return unsupported("GGUF files are written with BPE vocabularies");
  v.model = bytes ? "gpt2" : "llama";
  v.pre = tables.pre;
  if (v.pre.empty() && bytes) {
    THIMBLE_ASSIGN(v.pre, pre_of(tables));
  }
  v.tokens = spelled_tokens(tables);
  for (const Token& token : tables.tokens) {
    v.scores.push_back(token.score);
    v.types.push_back(piece_type(token.kind));
  }
  v.bos = tables.bos;
  v.eos = tables.eos;
  v.unknown = tables.unknown;
  v.pad = tables.pad;
  THIMBLE_TRY(around(tables.prefix, v.bos, v.add_bos));
  THIMBLE_TRY(around(tables.suffix, v.eos, v.add_eos));
  if (!bytes) {
    THIMBLE_TRY(pieces(tables, v));
    return v;
  }
  for (const Merge& merge : tables.merges)
    v.merges.push_back(v.tokens[static_cast<std::size_t>(merge.left)] + " " +
                       v.tokens[static_cast<std::size_t>(merge.right)]);
  v.add_space_prefix = false;
  return v;
}

}  // namespace thimble::text

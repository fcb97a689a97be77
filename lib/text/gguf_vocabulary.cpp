// The two vocabularies that Llama-family GGUF files carry, as tables.

#include <unordered_map>

#include "text/compile.h"
#include "text/piece_types.h"

namespace thimble::text {
namespace {

using namespace tokenizer;  // NOLINT: this file writes its tables

TokenKind kind_of(std::int32_t type) {
  const bool known = type >= 0 && type < static_cast<std::int32_t>(std::size(kPieceKinds));
  return known ? kPieceKinds[type] : TokenKind::kNormal;
}

Expected<std::vector<SplitStep>> splits_of(const std::string& pre) {
  if (pre == "smollm") return std::vector<SplitStep>{{Split::kDigits, ""}, {Split::kGpt2, ""}};
  if (pre == "llama-bpe" || pre == "llama3" || pre == "llama-v3" || pre == "smaug-bpe")
    return std::vector<SplitStep>{{Split::kLlama3, ""}};
  if (pre == "qwen2") return std::vector<SplitStep>{{Split::kQwen2, ""}};
  if (pre == "gpt-2" || pre == "default" || pre.empty() || pre == "gpt2")
    return std::vector<SplitStep>{{Split::kGpt2, ""}};
  return unsupported(
      "pre-tokenizer '" + pre +
      "' is not supported; supported are default, gpt-2, llama-bpe, qwen2, smaug-bpe, smollm");
}

Status add_merges(const GgufVocabulary& v, Tables& tables) {
  std::unordered_map<std::string_view, std::int32_t> ids;
  for (std::size_t i = 0; i < v.tokens.size(); ++i)
    ids.emplace(v.tokens[i], static_cast<std::int32_t>(i));
  for (const std::string& merge : v.merges) {
    const auto space = merge.find(' ', 1);
    if (space == std::string::npos) return invalid_file("a merge is not two tokens");
    const std::string left = merge.substr(0, space), right = merge.substr(space + 1);
    const auto a = ids.find(left), b = ids.find(right), both = ids.find(left + right);
    if (a == ids.end() || b == ids.end() || both == ids.end())
      return invalid_file("a merge names a token that isn't in the vocabulary");
    tables.merges.push_back({a->second, b->second, both->second});
  }
  return ok();
}

Status fill(const GgufVocabulary& v, Tables& tables) {
  const bool bytes = v.model == "gpt2";
  for (std::size_t i = 0; i < v.tokens.size(); ++i) {
    Token token{v.tokens[i], i < v.scores.size() ? v.scores[i] : 0.0f,
                i < v.types.size() ? kind_of(v.types[i]) : TokenKind::kNormal};
    const auto id = static_cast<std::int32_t>(i);
    const bool added =
        (token.kind == TokenKind::kControl || token.kind == TokenKind::kUserDefined) &&
        !token.bytes.empty();
    if (added) tables.added.push_back({id, token.bytes, token.kind == TokenKind::kControl, false});
    if (bytes && !added) {
      if (auto raw = alphabet_to_bytes(token.bytes)) token.bytes = std::move(*raw);
    }
    tables.tokens.push_back(std::move(token));
  }
  tables.bos = v.bos;
  tables.eos = v.eos;
  tables.unknown = v.unknown;
  tables.pad = v.pad;
  tables.pre = v.pre;
  if (v.add_bos && v.bos >= 0) tables.prefix = {v.bos};
  if (v.add_eos && v.eos >= 0) tables.suffix = {v.eos};
  return ok();
}

}  // namespace

Expected<Tables> compile_gguf(const GgufVocabulary& v, const std::string& file) {
  Tables tables;
  auto compile = [&]() -> Status {
    THIMBLE_TRY(fill(v, tables));
    if (v.model == "gpt2") {
      tables.algorithm = Algorithm::kMergeRanks;
      tables.byte_level = true;
      THIMBLE_ASSIGN(tables.splits, splits_of(v.pre));
      tables.ignore_merges = tables.splits.back().what == Split::kLlama3 && v.pre != "smaug-bpe";
      tables.decoders = {Decode::kBytes};
      THIMBLE_TRY(add_merges(v, tables));
    } else if (v.model == "llama") {
      tables.algorithm = Algorithm::kMergeScores;
      tables.byte_fallback = true;
      if (v.add_space_prefix) tables.normalizers.push_back({Normalize::kPrepend, " ", ""});
      tables.normalizers.push_back({Normalize::kReplace, " ", std::string(kSpaceMark)});
      tables.decoders = {Decode::kByteFallback, Decode::kMetaspace};
      if (v.add_space_prefix) tables.decoders.push_back(Decode::kStripFirst);
    } else {
      return unsupported("vocabulary '" + v.model +
                         "' is not supported; supported are llama and gpt2");
    }
    return verify(tables);
  };
  if (Status status = compile(); !status) return std::move(status).error().in(file);
  return tables;
}

}  // namespace thimble::text

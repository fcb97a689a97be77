#include "tokenizer/model.h"

#include <algorithm>
#include <limits>
#include <queue>

#include "tokenizer/unicode/unicode.h"

namespace thimble::tokenizer {
namespace {

std::uint64_t pair_key(std::int32_t left, std::int32_t right) {
  return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 |
         static_cast<std::uint32_t>(right);
}

std::string fallback_text(int byte) {
  constexpr char kHex[] = "0123456789ABCDEF";
  return std::string("<0x") + kHex[byte / 16] + kHex[byte % 16] + ">";
}

std::size_t character_size(std::string_view text, std::size_t at) {
  const auto size =
      static_cast<std::size_t>(unicode::sequence_length(static_cast<unsigned char>(text[at])));
  return std::min(size, text.size() - at);
}

}  // namespace

PieceEncoder::PieceEncoder(const Tables& tables) : tables_(tables) {
  ids_.reserve(tables.tokens.size());
  float least = 0;
  for (std::size_t i = 0; i < tables.tokens.size(); ++i) {
    const Token& token = tables.tokens[i];
    if (token.kind == TokenKind::kUnused || token.kind == TokenKind::kUnknown ||
        (token.kind == TokenKind::kControl && !token.bytes.empty() &&
         tables.algorithm != Algorithm::kWordPiece))
      continue;
    ids_.emplace(token.bytes, static_cast<std::int32_t>(i));
    longest_ = std::max(longest_, token.bytes.size());
    if (token.kind == TokenKind::kNormal) least = std::min(least, token.score);
  }
  unknown_score_ = least - 10.0f;  // as sentencepiece penalises what it doesn't know
  for (std::size_t r = 0; r < tables.merges.size(); ++r) {
    const Merge& m = tables.merges[r];
    ranks_.emplace(pair_key(m.left, m.right), Ranked{static_cast<std::int32_t>(r), m.merged});
  }
  for (int b = 0; b < 256; ++b)
    byte_ids_[b] =
        tables.byte_level ? find(std::string(1, static_cast<char>(b))) : find(fallback_text(b));
}

std::int32_t PieceEncoder::find(std::string_view token) const {
  const auto at = ids_.find(token);
  return at == ids_.end() ? -1 : at->second;
}

void PieceEncoder::encode(std::string_view piece, std::vector<std::int32_t>& out) const {
  if (piece.empty()) return;
  switch (tables_.algorithm) {
    case Algorithm::kUnigram:
      return unigram(piece, out);
    case Algorithm::kWordPiece:
      return wordpiece(piece, out);
    default:
      break;
  }
  if (tables_.ignore_merges) {
    if (const std::int32_t whole = find(piece); whole >= 0) {
      out.push_back(whole);
      return;
    }
  }
  merge(piece, out);
}

// The heap's order: the best candidate first, of equals the leftmost.
bool PieceEncoder::later(const Candidate& a, const Candidate& b) {
  return a.priority != b.priority ? a.priority > b.priority : a.left > b.left;
}

std::vector<PieceEncoder::Symbol> PieceEncoder::symbols_of(std::string_view piece) const {
  std::vector<Symbol> symbols;
  for (std::size_t at = 0; at < piece.size();) {
    const std::size_t size = tables_.byte_level ? 1 : character_size(piece, at);
    const auto index = static_cast<std::int32_t>(symbols.size());
    const std::int32_t id = tables_.byte_level ? byte_ids_[static_cast<unsigned char>(piece[at])]
                                               : find(piece.substr(at, size));
    symbols.push_back({static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(size), id,
                       index - 1, index + 1});
    at += size;
  }
  if (!symbols.empty()) symbols.back().next = -1;
  return symbols;
}

bool PieceEncoder::candidate(std::string_view piece, const std::vector<Symbol>& symbols,
                             std::int32_t left, Candidate& out) const {
  const Symbol& a = symbols[static_cast<std::size_t>(left)];
  if (a.next < 0) return false;
  const Symbol& b = symbols[static_cast<std::size_t>(a.next)];
  out.left = left;
  out.right = a.next;
  out.size = a.size + b.size;
  if (tables_.algorithm == Algorithm::kMergeRanks) {
    if (a.id < 0 || b.id < 0) return false;
    const auto at = ranks_.find(pair_key(a.id, b.id));
    if (at == ranks_.end()) return false;
    out.priority = at->second.rank;
    out.merged = at->second.merged;
    return true;
  }
  out.merged = find(piece.substr(a.begin, out.size));
  if (out.merged < 0) return false;
  out.priority = -static_cast<double>(tables_.tokens[static_cast<std::size_t>(out.merged)].score);
  return true;
}

void PieceEncoder::merge(std::string_view piece, std::vector<std::int32_t>& out) const {
  std::vector<Symbol> symbols = symbols_of(piece);
  std::priority_queue<Candidate, std::vector<Candidate>, decltype(&later)> queue(&later);
  Candidate next;
  for (std::size_t i = 0; i + 1 < symbols.size(); ++i) {
    if (candidate(piece, symbols, static_cast<std::int32_t>(i), next)) queue.push(next);
  }
  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    Symbol& a = symbols[static_cast<std::size_t>(best.left)];
    // A candidate is stale once one of its symbols was merged into something else.
    if (a.size == 0 || a.next != best.right ||
        a.size + symbols[static_cast<std::size_t>(best.right)].size != best.size)
      continue;
    Symbol& b = symbols[static_cast<std::size_t>(best.right)];
    a.id = best.merged;
    a.size = best.size;
    a.next = b.next;
    b.size = 0;
    if (a.next >= 0) symbols[static_cast<std::size_t>(a.next)].previous = best.left;
    if (a.previous >= 0 && candidate(piece, symbols, a.previous, next)) queue.push(next);
    if (candidate(piece, symbols, best.left, next)) queue.push(next);
  }
  for (std::int32_t i = 0; i >= 0 && i < static_cast<std::int32_t>(symbols.size());
       i = symbols[static_cast<std::size_t>(i)].next) {
    const Symbol& symbol = symbols[static_cast<std::size_t>(i)];
    if (symbol.id >= 0)
      out.push_back(symbol.id);
    else
      fall_back(piece.substr(symbol.begin, symbol.size), out);
  }
}

void PieceEncoder::fall_back(std::string_view bytes, std::vector<std::int32_t>& out) const {
  const bool all = tables_.byte_fallback && std::all_of(bytes.begin(), bytes.end(), [&](char c) {
                     return byte_ids_[static_cast<unsigned char>(c)] >= 0;
                   });
  if (all) {
    for (const char c : bytes) out.push_back(byte_ids_[static_cast<unsigned char>(c)]);
  } else if (tables_.unknown >= 0) {
    const bool repeated = tables_.algorithm != Algorithm::kMergeRanks && !out.empty() &&
                          out.back() == tables_.unknown;
    if (!repeated) out.push_back(tables_.unknown);  // unknown characters in a row are one token
  }
}

// The cut with the highest sum of scores (Viterbi over characters).
void PieceEncoder::unigram(std::string_view piece, std::vector<std::int32_t>& out) const {
  struct Best {
    double score = -std::numeric_limits<double>::infinity();
    std::size_t from = 0;
    std::int32_t id = -1;
  };
  std::vector<Best> best(piece.size() + 1);
  best[0].score = 0;
  for (std::size_t at = 0; at < piece.size(); at += character_size(piece, at)) {
    const std::size_t one = character_size(piece, at);
    bool known = false;
    for (std::size_t size = one; at + size <= piece.size() && size <= longest_;
         size += at + size < piece.size() ? character_size(piece, at + size) : 1) {
      const std::int32_t id = find(piece.substr(at, size));
      if (id < 0) continue;
      const Token& token = tables_.tokens[static_cast<std::size_t>(id)];
      if (token.kind == TokenKind::kByte) continue;  // a text may say <0x41>
      known = known || size == one;
      const double own =
          token.kind == TokenKind::kUserDefined ? 0.1 * static_cast<double>(size) : token.score;
      if (best[at].score + own > best[at + size].score)
        best[at + size] = {best[at].score + own, at, id};
    }
    if (!known && best[at].score + unknown_score_ > best[at + one].score)
      best[at + one] = {best[at].score + unknown_score_, at, -1};
  }
  std::vector<std::size_t> ends;
  for (std::size_t end = piece.size(); end > 0; end = best[end].from) ends.push_back(end);
  for (auto end = ends.rbegin(); end != ends.rend(); ++end) {
    const Best& step = best[*end];
    if (step.id >= 0)
      out.push_back(step.id);
    else
      fall_back(piece.substr(step.from, *end - step.from), out);
  }
}

// Greedily the longest token, the ones after the first with the continuing prefix.
void PieceEncoder::wordpiece(std::string_view piece, std::vector<std::int32_t>& out) const {
  const std::size_t mark = out.size();
  std::vector<std::size_t> starts;
  for (std::size_t at = 0; at < piece.size(); at += character_size(piece, at)) starts.push_back(at);
  starts.push_back(piece.size());
  bool whole = static_cast<std::int64_t>(starts.size()) - 1 <= tables_.max_word;
  for (std::size_t i = 0; whole && i + 1 < starts.size();) {
    std::int32_t id = -1;
    std::size_t end = starts.size() - 1;
    for (; end > i && id < 0; --end) {
      const std::string_view text = piece.substr(starts[i], starts[end] - starts[i]);
      id = i == 0 ? find(text) : find(tables_.continuing_prefix + std::string(text));
      if (id >= 0) break;
    }
    whole = id >= 0;
    if (whole) out.push_back(id);
    i = end;
  }
  if (whole) return;
  out.resize(mark);
  if (tables_.unknown >= 0) out.push_back(tables_.unknown);
}

}  // namespace thimble::tokenizer

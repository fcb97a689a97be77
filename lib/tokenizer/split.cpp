#include "tokenizer/split.h"

#include "tokenizer/unicode/unicode.h"

namespace thimble::tokenizer {
namespace {

using namespace unicode;  // NOLINT: predicates read better bare

using Codes = std::vector<char32_t>;

bool is_newline(char32_t c) { return c == '\r' || c == '\n'; }
bool is_plain(char32_t c) {
  return !is_white(c) && !is_letter(c) && !is_number(c);
}  // [^\s\p{L}\p{N}]

template <class Test>
std::size_t run(const Codes& c, std::size_t i, Test test) {
  while (i < c.size() && test(c[i])) ++i;
  return i;
}

// The end of 's, 't, 're, 've, 'm, 'll or 'd at i; i when there is none.
std::size_t contraction(const Codes& c, std::size_t i, bool any_case) {
  if (i + 1 >= c.size() || c[i] != '\'') return i;
  auto at = [&](std::size_t k) -> char32_t {
    if (k >= c.size()) return 0;
    if (any_case && c[k] == 0x17f) return 's';  // LATIN SMALL LETTER LONG S folds to s
    return any_case && c[k] < 128 ? (c[k] | 32) : c[k];
  };
  const char32_t a = at(i + 1), b = at(i + 2);
  if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l')) return i + 3;
  return a == 's' || a == 't' || a == 'm' || a == 'd' ? i + 2 : i;
}

// \s+(?!\S)|\s+ : a run of white space leaves its last character to the word that follows.
std::size_t white_run(const Codes& c, std::size_t i) {
  const std::size_t end = run(c, i, is_white);
  return end < c.size() && end - i > 1 ? end - 1 : end;
}

std::size_t next_gpt2(const Codes& c, std::size_t i) {
  if (const std::size_t end = contraction(c, i, false); end > i) return end;
  const std::size_t word = c[i] == ' ' && i + 1 < c.size() ? i + 1 : i;
  if (is_letter(c[word])) return run(c, word, is_letter);
  if (is_number(c[word])) return run(c, word, is_number);
  if (is_plain(c[word])) return run(c, word, is_plain);
  return white_run(c, i);
}

std::size_t next_llama3(const Codes& c, std::size_t i, std::size_t digits) {
  if (const std::size_t end = contraction(c, i, true); end > i) return end;
  if (is_letter(c[i])) return run(c, i, is_letter);
  if (!is_newline(c[i]) && !is_number(c[i]) && i + 1 < c.size() && is_letter(c[i + 1]))
    return run(c, i + 1, is_letter);
  if (is_number(c[i])) return std::min(run(c, i, is_number), i + digits);
  const std::size_t word = c[i] == ' ' && i + 1 < c.size() ? i + 1 : i;
  if (is_plain(c[word])) return run(c, run(c, word, is_plain), is_newline);
  const std::size_t white = run(c, i, is_white);
  for (std::size_t end = white; end > i; --end) {
    if (is_newline(c[end - 1])) return end;  // \s*[\r\n]+
  }
  return white_run(c, i);
}

bool is_word(char32_t c) {
  return is_letter(c) || is_number(c) || is_mark(c) || c == '_' || c == 0x203f || c == 0x2040;
}
bool is_bert_punctuation(char32_t c) {
  if (c == 0x61d)
    return false;  // new in Unicode 14: the table that Hugging Face's tokenizers look in is older
  return (c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) ||
         (c >= 123 && c <= 126) || is_punctuation(c);
}

// The end of the piece that starts at i. Pieces of white space are left out where `drop` says so.
std::size_t next_piece(const Codes& c, std::size_t i, Split what) {
  switch (what) {
    case Split::kGpt2:
      return next_gpt2(c, i);
    case Split::kLlama3:
      return next_llama3(c, i, 3);
    case Split::kQwen2:
      return next_llama3(c, i, 1);
    case Split::kDigits:
      return is_number(c[i]) ? i + 1 : run(c, i, [](char32_t x) { return !is_number(x); });
    case Split::kDigitGroups:
      return is_number(c[i]) ? run(c, i, is_number)
                             : run(c, i, [](char32_t x) { return !is_number(x); });
    case Split::kWhitespace:
      if (is_white(c[i])) return run(c, i, is_white);
      if (is_word(c[i])) return run(c, i, is_word);
      return run(c, i, [](char32_t x) { return !is_word(x) && !is_white(x); });
    case Split::kPunctuation:
      if (is_bert_punctuation(c[i])) return i + 1;
      return run(c, i, [](char32_t x) { return !is_bert_punctuation(x); });
    case Split::kBert:
      if (is_white(c[i])) return run(c, i, is_white);
      if (is_bert_punctuation(c[i])) return i + 1;
      return run(c, i, [](char32_t x) { return !is_white(x) && !is_bert_punctuation(x); });
    default:
      return is_white(c[i]) ? run(c, i, is_white)
                            : run(c, i, [](char32_t x) { return !is_white(x); });
  }
}

bool drops_white(Split what) {
  return what == Split::kWhitespace || what == Split::kBert || what == Split::kSpaces;
}

void scan(const std::string& piece, Split what, std::vector<std::string>& out) {
  const Characters text(piece);
  for (std::size_t i = 0; i < text.code.size();) {
    const std::size_t end = next_piece(text.code, i, what);
    if (!drops_white(what) || !is_white(text.code[i]))
      out.push_back(piece.substr(text.at[i], text.at[end] - text.at[i]));
    i = end;
  }
}

void metaspace(const std::string& piece, const SplitStep& step, bool first,
               std::vector<std::string>& out) {
  std::string marked;
  for (const char c : piece) {
    if (c == ' ')
      marked += kSpaceMark;
    else
      marked += c;
  }
  const bool prepend =
      (step.a == "always" || (step.a == "first" && first)) && !marked.starts_with(kSpaceMark);
  if (prepend) marked.insert(0, kSpaceMark);
  if (step.what == Split::kMetaspaceWhole) {
    out.push_back(std::move(marked));
    return;
  }
  std::size_t from = 0;
  for (std::size_t at = marked.find(kSpaceMark, 1); at != std::string::npos;
       at = marked.find(kSpaceMark, at + 1)) {
    out.push_back(marked.substr(from, at - from));
    from = at;
  }
  out.push_back(marked.substr(from));
}

}  // namespace

Characters::Characters(std::string_view text) {
  code.reserve(text.size());
  at.reserve(text.size() + 1);
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    at.push_back(static_cast<std::uint32_t>(i));
    if (lead < 0x80) {
      code.push_back(lead);
      ++i;
      continue;
    }
    const auto length = static_cast<std::size_t>(sequence_length(lead));
    const std::u32string one = decode_utf8(text.substr(i, length));
    const bool whole = length > 1 && one.size() == 1 && i + length <= text.size() && one[0] != U'�';
    const bool replacement = text.substr(i, 3) == "\xef\xbf\xbd";
    code.push_back(whole ? one[0] : U'�');
    i += whole ? length : replacement ? 3 : 1;
  }
  at.push_back(static_cast<std::uint32_t>(text.size()));
}

std::vector<std::string> split(std::vector<std::string> pieces, const SplitStep& step, bool first,
                               const PatternMatcher* matcher) {
  std::vector<std::string> out;
  for (std::size_t p = 0; p < pieces.size(); ++p) {
    if (pieces[p].empty()) continue;
    if (step.what == Split::kMetaspace || step.what == Split::kMetaspaceWhole) {
      metaspace(pieces[p], step, first && p == 0, out);
    } else if (matcher != nullptr) {
      for (std::string& part : split_at_matches(pieces[p], step, *matcher))
        out.push_back(std::move(part));
    } else if (step.what == Split::kPrefixSpace) {
      out.push_back(pieces[p].starts_with(' ') ? pieces[p] : " " + pieces[p]);
    } else {
      scan(pieces[p], step.what, out);
    }
  }
  return out;
}

}  // namespace thimble::tokenizer

#include "tokenizer/normalize.h"

#include <algorithm>

#include "tokenizer/charsmap.h"
#include "tokenizer/unicode/unicode.h"

namespace thimble::tokenizer {
namespace {

using unicode::Form;

bool is_chinese(char32_t c) {
  return (c >= 0x4e00 && c <= 0x9fff) || (c >= 0x3400 && c <= 0x4dbf) ||
         (c >= 0x20000 && c <= 0x2a6df) || (c >= 0x2a700 && c <= 0x2b73f) ||
         (c >= 0x2b740 && c <= 0x2b81f) || (c >= 0x2b920 && c <= 0x2ceaf) ||
         (c >= 0xf900 && c <= 0xfaff) || (c >= 0x2f800 && c <= 0x2fa1f);
}

std::u32string each(std::u32string_view text, void (*change)(char32_t, std::u32string&)) {
  std::u32string out;
  for (const char32_t c : text) change(c, out);
  return out;
}

void clean(char32_t c, std::u32string& out) {
  const bool blank = c == '\t' || c == '\n' || c == '\r';
  if (c == 0 || c == 0xfffd || (!blank && unicode::is_other(c))) return;
  out += unicode::is_white(c) ? U' ' : c;
}
void set_chinese_apart(char32_t c, std::u32string& out) {
  if (is_chinese(c))
    out += {U' ', c, U' '};
  else
    out += c;
}
void drop_accent(char32_t c, std::u32string& out) {
  if (!unicode::is_nonspacing_mark(c)) out += c;
}

std::string replace_all(std::string text, const std::string& from, const std::string& to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
    text.replace(at, from.size(), to);
  return text;
}

std::string strip(const std::string& text, const NormalizeStep& step) {
  std::u32string c = unicode::decode_utf8(text);
  std::size_t begin = 0, end = c.size();
  while (step.a == "1" && begin < end && unicode::is_white(c[begin])) ++begin;
  while (step.b == "1" && end > begin && unicode::is_white(c[end - 1])) --end;
  return unicode::encode_utf8(std::u32string_view(c).substr(begin, end - begin));
}

std::string replace_spaces(std::string_view text, const std::string& to) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find_first_not_of(' ', at), text.size());
    if (end - at >= 2) {
      out += to;
      at = end;
    } else {
      out += text[at++];
    }
  }
  return out;
}

std::u32string replace_white(std::u32string_view text, const std::string& to) {
  const std::u32string instead = unicode::decode_utf8(to);
  std::u32string out;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (!unicode::is_white(text[at]))
      out += text[at];
    else if (at == 0 || !unicode::is_white(text[at - 1]))
      out += instead;
  }
  return out;
}

std::string replace_matches(std::string_view text, const std::string& to,
                            const PatternMatcher& matcher) {
  std::string out;
  std::size_t at = 0;
  for (const auto& [begin, end] : matcher.find_all(text)) {
    out.append(text.substr(at, begin - at)).append(to);
    at = end;
  }
  return out.append(text.substr(at));
}

std::string apply(std::string text, const NormalizeStep& step, const PatternMatcher* matcher) {
  auto on_characters = [&](auto change) {
    return unicode::encode_utf8(change(unicode::decode_utf8(text)));
  };
  switch (step.what) {
    case Normalize::kNfc:
      return on_characters([](const auto& c) { return unicode::normalize(c, Form::kNfc); });
    case Normalize::kNfd:
      return on_characters([](const auto& c) { return unicode::normalize(c, Form::kNfd); });
    case Normalize::kNfkc:
      return on_characters([](const auto& c) { return unicode::normalize(c, Form::kNfkc); });
    case Normalize::kNfkd:
      return on_characters([](const auto& c) { return unicode::normalize(c, Form::kNfkd); });
    case Normalize::kLowercase:
      return on_characters([](const auto& c) { return each(c, unicode::append_lower); });
    case Normalize::kStripAccents:
      return on_characters([](const auto& c) { return each(c, drop_accent); });
    case Normalize::kBertClean:
      return on_characters([](const auto& c) { return each(c, clean); });
    case Normalize::kBertChinese:
      return on_characters([](const auto& c) { return each(c, set_chinese_apart); });
    case Normalize::kPrepend:
      return text.empty() ? text : step.a + text;
    case Normalize::kReplace:
      return replace_all(std::move(text), step.a, step.b);
    case Normalize::kStrip:
      return strip(text, step);
    case Normalize::kPrefixSpace:
      return text.starts_with(' ') ? text : " " + text;
    case Normalize::kTrimStart:
      while (text.starts_with(step.a)) text.erase(0, step.a.size());
      return text;
    case Normalize::kTrimEnd:
      while (text.ends_with(step.a)) text.resize(text.size() - step.a.size());
      return text;
    case Normalize::kCollapseSpaces: {
      while (text.find("  ") != std::string::npos) text = replace_all(std::move(text), "  ", " ");
      return text;
    }
    case Normalize::kCharsmapClusters:
      return Charsmap::of(step.a)->replace_clusters(text);
    case Normalize::kCharsmapLongest:
      return Charsmap::of(step.a)->replace_longest(text);
    case Normalize::kReplaceSpaces:
      return replace_spaces(text, step.a);
    case Normalize::kReplaceWhite:
      return on_characters([&](const auto& c) { return replace_white(c, step.a); });
    case Normalize::kReplacePattern:
      return replace_matches(text, step.b, *matcher);
  }
  return text;
}

}  // namespace

std::string normalize(std::string_view text, const std::vector<NormalizeStep>& steps,
                      const std::vector<std::unique_ptr<PatternMatcher>>& matchers) {
  std::string out(text);
  for (std::size_t s = 0; s < steps.size(); ++s)
    out = apply(std::move(out), steps[s], matchers[s].get());
  return out;
}

}  // namespace thimble::tokenizer

#include "tokenizer/unicode/unicode.h"

#include <algorithm>
#include <cstdint>
#include <iterator>

namespace thimble::unicode {
namespace {

struct Range {
  std::uint32_t first, last;
};
struct Mapping {
  std::uint32_t from, at, size;  // in kPool
};
struct Class {
  std::uint32_t first, last, value;
};
struct Pair {
  std::uint32_t first, second, composed;
};

#include "tokenizer/unicode/tables.inc"

template <std::size_t N>
bool inside(const Range (&table)[N], char32_t c) {
  const Range* at = std::upper_bound(std::begin(table), std::end(table), c,
                                     [](char32_t v, const Range& r) { return v < r.first; });
  return at != std::begin(table) && c <= std::prev(at)->last;
}

template <std::size_t N>
const Mapping* find(const Mapping (&table)[N], char32_t c) {
  const Mapping* at = std::lower_bound(std::begin(table), std::end(table), c,
                                       [](const Mapping& m, char32_t v) { return m.from < v; });
  return at != std::end(table) && at->from == c ? at : nullptr;
}

std::uint32_t combining_class(char32_t c) {
  const Class* at = std::upper_bound(std::begin(kCombining), std::end(kCombining), c,
                                     [](char32_t v, const Class& r) { return v < r.first; });
  return at != std::begin(kCombining) && c <= std::prev(at)->last ? std::prev(at)->value : 0;
}

constexpr char32_t kHangul = 0xac00, kLead = 0x1100, kVowel = 0x1161, kTrail = 0x11a7;
constexpr std::uint32_t kVowels = 21, kTrails = 28, kSyllables = 11172, kLeads = 19;

void append_decomposed(char32_t c, bool compatible, std::u32string& out) {
  if (c >= kHangul && c < kHangul + kSyllables) {
    const std::uint32_t index = c - kHangul;
    out += kLead + index / (kVowels * kTrails);
    out += kVowel + index % (kVowels * kTrails) / kTrails;
    if (index % kTrails != 0) out += kTrail + index % kTrails;
    return;
  }
  const Mapping* mapping = compatible ? find(kCompatible, c) : nullptr;
  if (mapping == nullptr) mapping = find(kCanonical, c);
  if (mapping == nullptr) {
    out += c;
  } else {
    out.append(kPool + mapping->at, mapping->size);
  }
}

void order_marks(std::u32string& text) {
  for (std::size_t i = 0; i < text.size();) {
    std::size_t end = i;
    while (end < text.size() && combining_class(text[end]) != 0) ++end;
    std::stable_sort(text.begin() + static_cast<std::ptrdiff_t>(i),
                     text.begin() + static_cast<std::ptrdiff_t>(end), [](char32_t a, char32_t b) {
                       return combining_class(a) < combining_class(b);
                     });
    i = end + 1;
  }
}

char32_t composed(char32_t a, char32_t b) {
  if (a >= kLead && a < kLead + kLeads && b >= kVowel && b < kVowel + kVowels)
    return kHangul + ((a - kLead) * kVowels + (b - kVowel)) * kTrails;
  if (a >= kHangul && a < kHangul + kSyllables && (a - kHangul) % kTrails == 0 && b > kTrail &&
      b < kTrail + kTrails)
    return a + (b - kTrail);
  const Pair wanted{a, b, 0};
  const Pair* at = std::lower_bound(
      std::begin(kComposition), std::end(kComposition), wanted, [](const Pair& x, const Pair& y) {
        return x.first != y.first ? x.first < y.first : x.second < y.second;
      });
  return at != std::end(kComposition) && at->first == a && at->second == b ? at->composed : 0;
}

std::u32string compose(const std::u32string& text) {
  std::u32string out;
  std::size_t starter = std::u32string::npos;
  std::uint32_t last_class = 0;
  for (const char32_t c : text) {
    const std::uint32_t own = combining_class(c);
    const bool adjacent = starter != std::u32string::npos && starter + 1 == out.size();
    if (starter != std::u32string::npos && (adjacent || last_class < own)) {
      if (const char32_t both = composed(out[starter], c)) {
        out[starter] = both;
        continue;
      }
    }
    if (own == 0) starter = out.size();
    last_class = own;
    out += c;
  }
  return out;
}

}  // namespace

bool is_letter(char32_t c) {
  return c < 128 ? (c | 32) >= 'a' && (c | 32) <= 'z' : inside(kLetters, c);
}
bool is_number(char32_t c) { return c < 128 ? c >= '0' && c <= '9' : inside(kNumbers, c); }
bool is_mark(char32_t c) { return c >= 128 && inside(kMarks, c); }
bool is_nonspacing_mark(char32_t c) { return c >= 128 && inside(kNonspacing, c); }
bool is_punctuation(char32_t c) { return inside(kPunctuation, c); }
bool is_other(char32_t c) { return inside(kOther, c); }
bool is_white(char32_t c) { return inside(kWhite, c); }

void append_lower(char32_t c, std::u32string& out) {
  if (const Mapping* mapping = find(kLower, c)) {
    out.append(kPool + mapping->at, mapping->size);
  } else {
    out += c;
  }
}

std::u32string normalize(std::u32string_view text, Form form) {
  std::u32string out;
  for (const char32_t c : text)
    append_decomposed(c, form == Form::kNfkc || form == Form::kNfkd, out);
  order_marks(out);
  return form == Form::kNfc || form == Form::kNfkc ? compose(out) : out;
}

int sequence_length(unsigned char lead) {
  if (lead >= 0xc2 && lead <= 0xdf) return 2;
  if (lead >= 0xe0 && lead <= 0xef) return 3;
  if (lead >= 0xf0 && lead <= 0xf4) return 4;
  return 1;
}

std::u32string decode_utf8(std::string_view text) {
  std::u32string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    if (lead < 0x80) {
      out += lead;
      ++i;
      continue;
    }
    const int length = sequence_length(lead);
    char32_t c = length == 2 ? lead & 0x1f : length == 3 ? lead & 0xf : lead & 7;
    std::size_t used = 1;
    bool whole = length > 1;
    while (whole && used < static_cast<std::size_t>(length)) {
      const unsigned char next =
          i + used < text.size() ? static_cast<unsigned char>(text[i + used]) : 0;
      unsigned char low = 0x80, high = 0xbf;  // the second byte of some leads has a narrower range
      if (used == 1 && lead == 0xe0) low = 0xa0;
      if (used == 1 && lead == 0xed) high = 0x9f;
      if (used == 1 && lead == 0xf0) low = 0x90;
      if (used == 1 && lead == 0xf4) high = 0x8f;
      if (next < low || next > high) {
        whole = false;
        break;
      }
      c = (c << 6) | (next & 0x3f);
      ++used;
    }
    out += whole ? c : U'�';
    i += used;
  }
  return out;
}

void append_utf8(char32_t c, std::string& out) {
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xc0 | (c >> 6));
    out += static_cast<char>(0x80 | (c & 0x3f));
  } else if (c < 0x10000) {
    out += static_cast<char>(0xe0 | (c >> 12));
    out += static_cast<char>(0x80 | ((c >> 6) & 0x3f));
    out += static_cast<char>(0x80 | (c & 0x3f));
  } else {
    out += static_cast<char>(0xf0 | (c >> 18));
    out += static_cast<char>(0x80 | ((c >> 12) & 0x3f));
    out += static_cast<char>(0x80 | ((c >> 6) & 0x3f));
    out += static_cast<char>(0x80 | (c & 0x3f));
  }
}

std::string encode_utf8(std::u32string_view text) {
  std::string out;
  for (const char32_t c : text) append_utf8(c, out);
  return out;
}

}  // namespace thimble::unicode

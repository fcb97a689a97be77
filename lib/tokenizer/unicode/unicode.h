#pragma once
// What tokenizers need to know of Unicode 14, from tables that generate.py writes.

#include <cstddef>
#include <string>
#include <string_view>

namespace thimble::unicode {

bool is_letter(char32_t c);
bool is_number(char32_t c);
bool is_mark(char32_t c);
bool is_nonspacing_mark(char32_t c);
bool is_punctuation(char32_t c);
bool is_other(char32_t c);  // category C: controls, unassigned, surrogates
bool is_white(char32_t c);  // White_Space: what \s means
void append_lower(char32_t c, std::u32string& out);

enum class Form { kNfc, kNfd, kNfkc, kNfkd };
std::u32string normalize(std::u32string_view text, Form form);

// Where the grapheme cluster that starts at `begin` ends (UAX 29), as far as clusters of less than
// six bytes go: of longer ones (syllables of jamo, flags, joined emoji) each character ends one.
std::size_t cluster_end(std::u32string_view text, std::size_t begin);

// Invalid bytes become U+FFFD, one for each maximal part of a broken sequence.
std::u32string decode_utf8(std::string_view text);
void append_utf8(char32_t c, std::string& out);
std::string encode_utf8(std::u32string_view text);
// Bytes of the UTF-8 sequence that starts with `lead`; 1 for what cannot start one.
int sequence_length(unsigned char lead);

}  // namespace thimble::unicode

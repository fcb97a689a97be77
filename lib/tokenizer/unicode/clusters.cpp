// Grapheme clusters, by UAX 29's rules and Grapheme_Cluster_Break. Its values are told from the
// general category and what differs from it, which the annex lists.

#include <algorithm>
#include <iterator>

#include "tokenizer/unicode/unicode.h"

namespace thimble::unicode {
namespace {

struct Characters {
  char32_t first, last;
};

// Control: breaks before and after. What of the categories Cc, Cf, Zl and Zp extends or prepends
// isn't here.
constexpr Characters kControls[] = {
    {0x0, 0x1f},        {0x7f, 0x9f},       {0xad, 0xad},       {0x61c, 0x61c},
    {0x180e, 0x180e},   {0x200b, 0x200b},   {0x200e, 0x200f},   {0x2028, 0x202e},
    {0x2060, 0x206f},   {0xfeff, 0xfeff},   {0xfff0, 0xfffb},   {0x13430, 0x13438},
    {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a}, {0xe0000, 0xe001f}, {0xe0080, 0xe00ff},
    {0xe01f0, 0xe0fff},
};
// Extend and SpacingMark beside marks: joiners, Thai and Lao am, half-width voicing, skin tones,
// tags.
constexpr Characters kExtending[] = {
    {0xe33, 0xe33},   {0xeb3, 0xeb3},     {0x200c, 0x200d},
    {0xff9e, 0xff9f}, {0x1f3fb, 0x1f3ff}, {0xe0020, 0xe007f},
};
// Marks that are neither.
constexpr Characters kApart[] = {
    {0x102b, 0x102c}, {0x1038, 0x1038}, {0x1062, 0x1064},   {0x1067, 0x106d}, {0x1083, 0x1083},
    {0x1087, 0x108c}, {0x108f, 0x108f}, {0x109a, 0x109c},   {0x1a61, 0x1a61}, {0x1a63, 0x1a64},
    {0xaa7b, 0xaa7b}, {0xaa7d, 0xaa7d}, {0x11720, 0x11721},
};
constexpr Characters kPrepending[] = {
    {0x600, 0x605},     {0x6dd, 0x6dd},     {0x70f, 0x70f},     {0x890, 0x891},
    {0x8e2, 0x8e2},     {0xd4e, 0xd4e},     {0x110bd, 0x110bd}, {0x110cd, 0x110cd},
    {0x111c2, 0x111c3}, {0x1193f, 0x1193f}, {0x11941, 0x11941}, {0x11a3a, 0x11a3a},
    {0x11a84, 0x11a89}, {0x11d46, 0x11d46},
};

template <std::size_t N>
bool among(const Characters (&list)[N], char32_t c) {
  return std::any_of(std::begin(list), std::end(list),
                     [c](const Characters& r) { return c >= r.first && c <= r.last; });
}

bool extends(char32_t c) { return (is_mark(c) && !among(kApart, c)) || among(kExtending, c); }

bool joined(char32_t before, char32_t after) {
  if (before == '\r' && after == '\n') return true;
  if (among(kControls, before) || among(kControls, after)) return false;
  return extends(after) || among(kPrepending, before);
}

}  // namespace

std::size_t cluster_end(std::u32string_view text, std::size_t begin) {
  std::size_t end = begin + 1;
  while (end < text.size() && joined(text[end - 1], text[end])) ++end;
  return end;
}

}  // namespace thimble::unicode

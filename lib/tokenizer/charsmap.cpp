#include "tokenizer/charsmap.h"

#include <cstdint>

#include "tokenizer/unicode/unicode.h"

namespace thimble::tokenizer {
namespace {

constexpr std::size_t kUnit = 4;

std::uint32_t word_at(std::string_view bytes, std::size_t at) {
  std::uint32_t out = 0;
  for (std::size_t i = 0; i < kUnit; ++i)
    out |= static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[at + i])) << 8 * i;
  return out;
}

// The fields of a unit.
bool has_value(std::uint32_t unit) { return (unit >> 8 & 1) != 0; }
std::uint32_t value_of(std::uint32_t unit) { return unit & 0x7fffffff; }
std::uint32_t label_of(std::uint32_t unit) { return unit & 0x800000ff; }
std::uint32_t offset_of(std::uint32_t unit) { return unit >> 10 << (unit >> 6 & 8); }

}  // namespace

std::optional<Charsmap> Charsmap::of(std::string_view bytes) {
  if (bytes.size() < kUnit) return std::nullopt;
  const std::size_t size = word_at(bytes, 0);
  if (size == 0 || size % kUnit != 0 || size > bytes.size() - kUnit) return std::nullopt;
  return Charsmap(bytes.substr(kUnit, size), bytes.substr(kUnit + size));
}

std::optional<std::uint32_t> Charsmap::unit(std::size_t at) const {
  return at < units_.size() / kUnit ? std::optional(word_at(units_, at * kUnit)) : std::nullopt;
}

std::string_view Charsmap::replacement(std::size_t at) const {
  if (at >= texts_.size()) return {};
  return texts_.substr(at, texts_.find('\0', at) - at);
}

Charsmap::Match Charsmap::match(std::string_view text, Prefer which) const {
  Match best;
  std::uint32_t at = offset_of(word_at(units_, 0));
  for (std::size_t i = 0; i < text.size() && text[i] != '\0'; ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    at ^= byte;
    const auto node = unit(at);
    if (!node || label_of(*node) != byte) break;
    at ^= offset_of(*node);
    if (!has_value(*node)) continue;
    const auto value = unit(at);
    if (!value) break;
    best = {i + 1, replacement(value_of(*value))};
    if (which == Prefer::kShortest) break;
  }
  return best;
}

std::string Charsmap::replace_clusters(std::string_view text) const {
  constexpr std::size_t kLongest = 6;
  std::string out;
  const std::u32string characters = unicode::decode_utf8(text);
  for (std::size_t begin = 0, end = 0; begin < characters.size(); begin = end) {
    end = unicode::cluster_end(characters, begin);
    const std::string cluster =
        unicode::encode_utf8(std::u32string_view(characters).substr(begin, end - begin));
    if (cluster.size() < kLongest) {
      if (const Match whole = match(cluster, Prefer::kShortest); whole.bytes > 0) {
        out += whole.to;
        continue;
      }
    }
    for (std::size_t at = 0, size = 0; at < cluster.size(); at += size) {
      size = static_cast<std::size_t>(
          unicode::sequence_length(static_cast<unsigned char>(cluster[at])));
      const std::string_view one = std::string_view(cluster).substr(at, size);
      const Match found = match(one, Prefer::kShortest);
      out += found.bytes > 0 ? found.to : one;
    }
  }
  return out;
}

std::string Charsmap::replace_longest(std::string_view text) const {
  std::string out;
  const std::string valid = unicode::encode_utf8(unicode::decode_utf8(text));
  for (std::string_view rest = valid; !rest.empty();) {
    Match found = match(rest, Prefer::kLongest);
    if (found.bytes == 0) {
      found.bytes = static_cast<std::size_t>(
          unicode::sequence_length(static_cast<unsigned char>(rest.front())));
      found.to = rest.substr(0, found.bytes);
    }
    out += found.to;
    rest.remove_prefix(found.bytes);
  }
  return out;
}

}  // namespace thimble::tokenizer

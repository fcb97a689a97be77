#pragma once
// SentencePiece's precompiled normalization ("precompiled_charsmap"): a double-array trie, laid out
// as Darts-clone does (four bytes of its size, 32-bit units), from a text to where its replacement
// starts among texts that end in 0 and follow it. All little-endian. Any bytes are safe to look up
// in: what leads nowhere is no match.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace thimble::tokenizer {

// Refers to the bytes that it is made of.
class Charsmap {
 public:
  static std::optional<Charsmap> of(std::string_view bytes);  // none: not laid out like that

  // As Hugging Face's `tokenizers` does: a grapheme cluster of less than six bytes becomes what its
  // shortest prefix in the map says, whatever follows in it; others go character by character.
  std::string replace_clusters(std::string_view text) const;
  // As SentencePiece does: the longest entry at each place.
  std::string replace_longest(std::string_view text) const;

 private:
  struct Match {
    std::size_t bytes = 0;  // 0: nothing matched
    std::string_view to;
  };
  enum class Prefer { kShortest, kLongest };

  Charsmap(std::string_view units, std::string_view texts) : units_(units), texts_(texts) {}
  Match match(std::string_view text, Prefer which) const;
  std::optional<std::uint32_t> unit(std::size_t at) const;
  std::string_view replacement(std::size_t at) const;

  std::string_view units_, texts_;
};

}  // namespace thimble::tokenizer

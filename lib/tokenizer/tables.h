#pragma once
// What a tokenizer is, as data: vocabulary, merges or scores, and the steps of normalizing,
// splitting and decoding. lib/text compiles every source format into this; it is stored in a
// .thimble file as one versioned blob.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "support/expected.h"

namespace thimble::tokenizer {

enum class Algorithm : std::uint8_t {
  kMergeRanks = 0,   // BPE by rank of the merge (byte-level, or characters with byte fallback)
  kMergeScores = 1,  // SentencePiece BPE: the pair whose merged piece scores highest
  kUnigram = 2,
  kWordPiece = 3,
};

enum class TokenKind : std::uint8_t {
  kNormal = 0,
  kControl = 1,
  kUserDefined = 2,
  kByte = 3,
  kUnknown = 4,
  kUnused = 5
};

// U+2581: what SentencePiece writes for a space.
constexpr std::string_view kSpaceMark = "\xe2\x96\x81";

struct Token {
  std::string bytes;  // what it stands for: raw bytes for byte-level vocabularies, the piece's
                      // UTF-8 otherwise
  float score = 0;
  TokenKind kind = TokenKind::kNormal;
};

struct Merge {
  std::int32_t left, right, merged;  // in order of rank
};

struct AddedToken {
  std::int32_t id = 0;
  std::string text;
  bool special = false;     // left out of decoded text on request
  bool normalized = false;  // found in normalized text, not in the raw one
  bool left_strip = false, right_strip = false, single_word = false;
};

enum class Normalize : std::uint8_t {
  kNfc = 0,
  kNfd = 1,
  kNfkc = 2,
  kNfkd = 3,
  kLowercase = 4,
  kStripAccents = 5,
  kPrepend = 6,
  kReplace = 7,
  kStrip = 8,
  kBertClean = 9,
  kBertChinese = 10,
  kCollapseSpaces = 11,
  kPrefixSpace = 12 /* a space in front unless there is one */,
  kTrimStart = 13,
  kTrimEnd = 14,
  kCharsmapClusters = 15,  // charsmap.h, by grapheme clusters
  kCharsmapLongest = 16,   // the same, by the longest entry
  kReplaceSpaces = 17,     // what stands for two spaces and more in a row
  kReplaceWhite = 18,      // the same for white space, one character and more
  kReplacePattern = 19,    // what stands for matches of a regular expression (pattern.h)
};
enum class Split : std::uint8_t {
  kGpt2 = 0,        // 's|'t|... ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
  kLlama3 = 1,      // the cl100k pattern, numbers by up to three
  kQwen2 = 2,       // the same, numbers one by one
  kDigits = 3,      // every digit on its own
  kWhitespace = 4,  // \w+|[^\w\s]+
  kPunctuation = 5,
  kBert = 6,            // white space and punctuation
  kMetaspace = 7,       // spaces become U+2581, words start with it
  kMetaspaceWhole = 8,  // the same without splitting
  kSpaces = 9,          // at white space, which goes
  kDigitGroups = 10,    // runs of digits on their own
  kPattern = 11,        // at what a regular expression matches (pattern.h)
  kLiteral = 12,        // at a text
  kPrefixSpace = 13,    // nowhere: each piece gets a space in front unless it has one
};
// What becomes of a match of kPattern or kLiteral.
enum class Behavior : std::uint8_t {
  kIsolated = 0,
  kRemoved = 1,
  kMergedWithPrevious = 2,
  kMergedWithNext = 3,
  kContiguous = 4,  // matches that touch are one piece
};
enum class Decode : std::uint8_t {
  kBytes = 0,         // tokens are raw bytes
  kMetaspace = 1,     // U+2581 is a space
  kWordPiece = 2,     // "##" joins, everything else is set apart by a space
  kStripFirst = 3,    // one leading space goes
  kByteFallback = 4,  // <0x41> is a byte
};

// One step with its texts: Prepend {what}, Replace {from, to}, Charsmap {the map}, ReplaceSpaces
// and ReplaceWhite {to}, ReplacePattern {pattern, to}, Metaspace {"always" | "first" | "never"},
// kPattern and kLiteral {behavior, inverted, pattern: see pattern.h}.
struct NormalizeStep {
  Normalize what;
  std::string a, b;
};
struct SplitStep {
  Split what;
  std::string a;
};

struct Tables {
  Algorithm algorithm = Algorithm::kMergeRanks;
  std::vector<Token> tokens;
  std::vector<Merge> merges;  // kMergeRanks
  std::vector<AddedToken> added;
  std::vector<NormalizeStep> normalizers;
  std::vector<SplitStep> splits;
  std::vector<Decode> decoders;
  bool byte_level = false;                   // the text is cut into bytes, not characters
  bool byte_fallback = false;                // unknown characters become <0xNN> tokens
  bool ignore_merges = false;                // a piece that is a token needs no merging
  std::vector<std::int32_t> prefix, suffix;  // what add_special puts around the text
  std::int32_t bos = -1, eos = -1, unknown = -1, pad = -1;
  std::string continuing_prefix;  // kWordPiece: "##"
  std::int64_t max_word = 100;    // kWordPiece: longer words are unknown
  std::string pre;                // GGUF's tokenizer.ggml.pre: "llama-bpe", "smollm", ...
};

// Every index in range, every text bounded.
Status verify(const Tables& tables);

std::vector<std::byte> write_tables(const Tables& tables);
Expected<Tables> read_tables(std::span<const std::byte> bytes);

}  // namespace thimble::tokenizer

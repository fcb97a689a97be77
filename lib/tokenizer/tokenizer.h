#pragma once
// Text to token ids and back, from compiled tables. Device code: std and support alone.
//
// Invalid UTF-8: byte-level vocabularies take any bytes as they are; all others see U+FFFD in place
// of each maximal broken part.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "support/expected.h"
#include "tokenizer/tables.h"

namespace thimble::tokenizer {

struct EncodeOptions {
  bool add_special = true;    // what the post-processor puts around: BOS, [CLS] and [SEP], ...
  bool parse_special = true;  // special tokens written in the text become their ids
};

class Tokenizer {
 public:
  static Expected<Tokenizer> load(std::span<const std::byte> tables);
  static Expected<Tokenizer> create(Tables tables);
  ~Tokenizer();
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;

  std::vector<std::int32_t> encode(std::string_view text,
                                   EncodeOptions options = {true, true}) const;
  std::string decode(std::span<const std::int32_t> ids, bool skip_special = true) const;

  std::optional<std::int32_t> bos() const;
  std::optional<std::int32_t> eos() const;
  bool adds_bos() const;  // add_special puts BOS in front
  std::size_t vocabulary() const;
  std::string_view token_bytes(std::int32_t id) const;
  bool is_special(std::int32_t id) const;
  std::optional<std::int32_t> find(std::string_view token) const;
  const Tables& tables() const;

 private:
  struct State;
  explicit Tokenizer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Decodes one id at a time, and holds back bytes that are not yet a whole character. What comes out
// is what decoding the whole would give after `previous`.
class StreamDecoder {
 public:
  StreamDecoder(const Tokenizer& tokenizer, std::int32_t previous)
      : tokenizer_(tokenizer), ids_{previous} {}
  std::string push(std::int32_t id);
  std::string finish();  // what is left, broken characters as U+FFFD

 private:
  const Tokenizer& tokenizer_;
  std::vector<std::int32_t> ids_;  // the context that spacing depends on, and what isn't out yet
};

}  // namespace thimble::tokenizer

#pragma once
// Text as windows of tokens, in llama.cpp's convention: tokenize the whole text (BOS in front where
// the tokenizer adds one), cut into windows of `context` tokens, replace the first token of each by
// BOS (where the tokenizer adds one), drop a last shorter window. A window's scored predictions are
// those of tokens context / 2 + 1 .. context - 1, counted from 0. With a stride (Hugging Face's
// convention) windows overlap and each scores only the tokens that the one before did not.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "support/expected.h"
#include "tokenizer/tokenizer.h"

namespace thimble::data {

struct Window {
  std::vector<std::int32_t> tokens;
  std::int64_t first_scored = 1;  // index of the first token whose prediction counts
};

struct WindowOptions {
  std::int64_t context = 512;
  std::int64_t stride = 0;       // 0: llama.cpp's convention
  std::int64_t max_windows = 0;  // 0: all
};

Expected<std::string> read_text(const std::string& path);  // UTF-8, at most 1 GB

// An error when the text is too short for one window.
Expected<std::vector<Window>> make_windows(std::string_view text,
                                           const tokenizer::Tokenizer& tokenizer,
                                           const WindowOptions& options);
// The same of a text's tokens.
Expected<std::vector<Window>> make_windows(const std::vector<std::int32_t>& tokens,
                                           const tokenizer::Tokenizer& tokenizer,
                                           const WindowOptions& options);

}  // namespace thimble::data

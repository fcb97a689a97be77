// DEPENDS: thimble_text
// A SentencePiece model: what compiles must also encode and decode.

#include "text/compile.h"
#include "tokenizer/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace thimble;
  auto tables = text::compile_sentencepiece(
      std::span(reinterpret_cast<const std::byte*>(data), size), "tokenizer.model");
  if (!tables) return 0;
  auto tokenizer = tokenizer::Tokenizer::create(std::move(*tables));
  if (!tokenizer) return 0;
  const auto ids = tokenizer->encode("Once upon a time, 12 \xc3\xa9\xff <s>\n");
  static_cast<void>(tokenizer->decode(ids));
  return 0;
}

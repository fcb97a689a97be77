// DEPENDS: thimble_text
// A SentencePiece model, and BERT's vocab.txt: what compiles must also encode and decode.

#include "text/compile.h"
#include "tokenizer/tokenizer.h"

namespace {

void use(thimble::Expected<thimble::tokenizer::Tables> tables) {
  if (!tables) return;
  const auto tokenizer = thimble::tokenizer::Tokenizer::create(std::move(*tables));
  if (!tokenizer) return;
  const auto ids = tokenizer->encode("Once upon a time, 12 \xc3\xa9\xff <s>\n");
  static_cast<void>(tokenizer->decode(ids));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace thimble;
  use(text::compile_sentencepiece(std::span(reinterpret_cast<const std::byte*>(data), size),
                                  "tokenizer.model"));
  const std::string vocabulary(reinterpret_cast<const char*>(data), size);
  use(text::compile_wordpiece({vocabulary, size % 2 == 0 ? "" : R"({"do_lower_case": false})"},
                              ""));
  return 0;
}

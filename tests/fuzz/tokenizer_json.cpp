// DEPENDS: thimble_text
// A tokenizer.json: what compiles must also encode and decode.

#include "text/compile.h"
#include "tokenizer/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace thimble;
  auto tables =
      text::compile_tokenizer_json({reinterpret_cast<const char*>(data), size}, "tokenizer.json");
  if (!tables) return 0;
  auto tokenizer = tokenizer::Tokenizer::load(tokenizer::write_tables(*tables));
  if (!tokenizer) return 0;
  const auto ids = tokenizer->encode("Once upon a time, 12 \xc3\xa9\xff <s>\n");
  static_cast<void>(tokenizer->decode(ids));
  return 0;
}

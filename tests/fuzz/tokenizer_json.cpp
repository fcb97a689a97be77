// DEPENDS: thimble_text
// A tokenizer.json, and what a tokenizer_config.json adds to one: what compiles must also encode
// and decode.

#include "text/compile.h"
#include "tokenizer/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace thimble;
  const std::string_view json(reinterpret_cast<const char*>(data), size);
  auto tables = text::compile_tokenizer_json(json, "tokenizer.json");
  tokenizer::Tables plain;
  plain.tokens = {{"a"}, {"b"}};
  plain.added = {{1, "<s>"}};
  static_cast<void>(text::apply_tokenizer_config(json, "tokenizer_config.json", true, plain));
  if (!tables) return 0;
  auto tokenizer = tokenizer::Tokenizer::load(tokenizer::write_tables(*tables));
  if (!tokenizer) return 0;
  const auto ids = tokenizer->encode("Once upon a time, 12 \xc3\xa9\xff <s>\n");
  static_cast<void>(tokenizer->decode(ids));
  return 0;
}

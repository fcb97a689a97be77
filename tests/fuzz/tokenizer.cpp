// DEPENDS: thimble_tokenizer
// The tables that a .thimble file holds a tokenizer in: what loads must also encode and decode, and
// be written as the bytes that it was read from.

#include "tokenizer/tokenizer.h"

#include <cstdlib>

#include "tokenizer/tables.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace thimble;
  const std::span bytes(reinterpret_cast<const std::byte*>(data), size);
  const auto tables = tokenizer::read_tables(bytes);
  if (!tables) return 0;
  const auto written = tokenizer::write_tables(*tables);
  const auto again = tokenizer::read_tables(written);
  if (!again || tokenizer::write_tables(*again) != written) std::abort();
  const auto tokenizer = tokenizer::Tokenizer::load(bytes);
  if (!tokenizer) return 0;
  const auto ids = tokenizer->encode("Once ab, 12 \xc3\xa9\xff <unk>\n");
  static_cast<void>(tokenizer->decode(ids));
  return 0;
}

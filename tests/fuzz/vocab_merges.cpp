// DEPENDS: thimble_text
// A folder's vocab.json, merges.txt, tokenizer_config.json, special_tokens_map.json and
// added_tokens.json, and its architecture, each ended by a byte of 0: what compiles must also
// encode and decode.

#include "text/compile.h"
#include "text/pattern.h"
#include "tokenizer/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace thimble;
  text::use_patterns();
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  text::VocabMerges files;
  for (std::string* part : {&files.vocabulary, &files.merges, &files.config, &files.special,
                            &files.added, &files.architecture}) {
    const std::size_t end = std::min(rest.find('\0'), rest.size());
    *part = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  auto tables = text::compile_vocab_merges(files, "folder");
  if (!tables) return 0;
  const auto tokenizer = tokenizer::Tokenizer::create(std::move(*tables));
  if (!tokenizer) return 0;
  const auto ids = tokenizer->encode("Once upon a time, 12 \xc3\xa9\xff <s>\n");
  static_cast<void>(tokenizer->decode(ids));
  return 0;
}

// DEPENDS: thimble_formats
// A GGUF file: its tensors are decoded, and the vocabulary of the model that it makes is written as
// GGUF's again.

#include "formats/gguf/reader.h"
#include "formats/gguf/source.h"
#include "memory_file.h"
#include "text/compile.h"
#include "tokenizer/tables.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace thimble;
  const MemoryFile file(data, size);
  const auto container = formats::gguf::read_container(file.path());
  if (!container) return 0;
  for (const auto& [name, tensor] : container->tensors) {
    const auto weight = formats::gguf::mapped_tensor(*container, tensor, name, 2);
    if (weight) (void)ir::read_floats(*weight);
  }
  const auto model = formats::read_gguf(file.path());
  if (!model || model->tokenizer.empty()) return 0;
  if (const auto tables = tokenizer::read_tables(model->tokenizer)) (void)text::to_gguf(*tables);
  return 0;
}

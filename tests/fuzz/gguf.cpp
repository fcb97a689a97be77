// DEPENDS: thimble_formats
#include "formats/gguf/reader.h"
#include "formats/gguf/source.h"
#include "memory_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace thimble;
  const MemoryFile file(data, size);
  const auto container = formats::gguf::read_container(file.path());
  if (!container) return 0;
  for (const auto& [name, tensor] : container->tensors) {
    const auto weight = formats::gguf::mapped_tensor(*container, tensor, name, 2);
    if (weight) (void)ir::read_floats(*weight);
  }
  (void)formats::read_gguf(file.path());
  return 0;
}

// DEPENDS: thimble_formats
#include "formats/safetensors/reader.h"
#include "memory_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace thimble;
  const MemoryFile file(data, size);
  formats::TensorMap tensors;
  if (!formats::read_safetensors(file.path(), tensors)) return 0;
  for (const auto& [name, entry] : tensors) {
    const ir::Weight weight = formats::mapped_weight(name, entry);
    (void)ir::read_floats(weight);
  }
  return 0;
}

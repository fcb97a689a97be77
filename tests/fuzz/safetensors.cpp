// DEPENDS: thimble_formats
// A safetensors file: whatever its bytes, reading ends with tensors inside the file or one error.

#include <cstdio>
#include <cstdlib>
#include <string>
#include <unistd.h>

#include "formats/safetensors/reader.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::string path = "/tmp/thimble-fuzz-" + std::to_string(::getpid()) + ".safetensors";
  std::FILE* file = std::fopen(path.c_str(), "wb");
  if (file == nullptr) return 0;
  std::fwrite(data, 1, size, file);
  std::fclose(file);
  thimble::formats::TensorMap tensors;
  if (thimble::formats::read_safetensors(path, tensors)) {
    for (const auto& [name, entry] : tensors) {
      if (entry.offset + entry.size > size) std::abort();
      const auto weight = thimble::formats::mapped_weight(name, entry);
      if (weight.element_count() < 1 << 16) static_cast<void>(thimble::ir::read_floats(weight).has_value());
    }
  }
  std::remove(path.c_str());
  return 0;
}

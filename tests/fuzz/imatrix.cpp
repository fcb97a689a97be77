// DEPENDS: thimble_formats
#include "formats/importance.h"
#include "memory_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace thimble;
  const MemoryFile file(data, size);
  const auto matrix = formats::read_importance(file.path());
  if (!matrix) return 0;
  const ir::Model model;
  (void)formats::importance_for(*matrix, model);
  return 0;
}

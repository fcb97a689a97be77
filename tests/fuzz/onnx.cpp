// DEPENDS: thimble_formats
#include "formats/onnx/reader.h"
#include "formats/onnx/tensors.h"
#include "memory_file.h"

// The whole as a model, and as the TensorProto that a data set of the backend tests is.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace thimble;
  const MemoryFile file(data, size);
  (void)formats::onnx::is_onnx(file.path());
  if (const auto model = formats::onnx::read(file.path(), {})) {
    const std::string text = ir::print(*model);
    (void)ir::parse(text);
    (void)ir::verify(*model);
  }
  const auto tensor = formats::onnx::read_tensor(file.path());
  if (tensor) (void)ir::read_floats(*tensor);
  return 0;
}

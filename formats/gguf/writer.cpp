#include "formats/gguf/writer.h"

namespace thimble::formats {

Status write_gguf(const ir::Model&, const std::string& path, const std::string&, ThreadPool&,
                  Progress&) {
  return Status(unsupported("GGUF files are not written yet").in(path));
}

}  // namespace thimble::formats

#pragma once
// GGUF v2 and v3 (see reader.cpp for the container, blocks.h for the block types).

#include <string>

#include "ir/model.h"

namespace thimble::formats {

Expected<ir::Model> read_gguf(const std::string& path);

}  // namespace thimble::formats

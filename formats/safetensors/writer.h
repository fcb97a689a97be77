#pragma once
// Writes safetensors (see reader.h), streamed: the header's sizes are known before any row is read.

#include <string>
#include <vector>

#include "ir/weight.h"
#include "support/progress.h"

namespace thimble::formats {

struct TensorToWrite {
  const ir::Weight* weight = nullptr;
  float minus = 0;  // subtracted from every value: 1 for gains that are kept as 1 + w
};

// Under their names. Dense weights keep their type, unless `type` is f32, f16 or bf16; encoded ones
// are decoded into it (empty: f32). A value that the type cannot hold is an error.
Status write_safetensors(const std::string& path, std::vector<TensorToWrite> tensors,
                         const std::string& type, Progress& progress);

}  // namespace thimble::formats

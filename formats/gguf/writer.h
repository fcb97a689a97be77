#pragma once
#include <string>

#include "ir/model.h"
#include "support/progress.h"
#include "support/thread_pool.h"

namespace thimble::formats {

// Writes a Llama-family model for llama.cpp. `type` is f32, f16, q8_0 or q4_0 for products and the
// embedding; empty keeps what the encodings say and writes the rest as f32. What GGUF cannot
// express is an error naming the tensor.
Status write_gguf(const ir::Model& model, const std::string& path, const std::string& type,
                  ThreadPool& pool, Progress& progress);

}  // namespace thimble::formats

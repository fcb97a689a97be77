#pragma once
// Writes Llama, Mistral, Qwen2 and Qwen3 models for llama.cpp.

#include <string>

#include "ir/model.h"
#include "support/progress.h"
#include "support/thread_pool.h"

namespace thimble::formats {

// Weights whose encoding a block type expresses exactly are written in it; the other products and
// the embedding in `type`: f32, f16, q8_0 or q4_0 (absmax per block). An empty `type` keeps dense
// weights as they are. Norms and biases are f32. What GGUF cannot express is an error naming the
// tensor; nothing falls back silently.
Status write_gguf(const ir::Model& model, const std::string& path, const std::string& type,
                  ThreadPool& pool, Progress& progress);

}  // namespace thimble::formats

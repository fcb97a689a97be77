#pragma once
// Writes models of the architectures that architectures.h lists, for llama.cpp.

#include <string>

#include "formats/all.h"
#include "support/thread_pool.h"

namespace thimble::formats {

// Weights whose encoding a block type expresses exactly are written in it, unless `target.decode`;
// the other products and the embedding in `target.type`: f32, f16, q8_0 or q4_0 (absmax per block).
// An empty type keeps dense weights as they are. Norms and biases are f32. What GGUF cannot express
// is an error naming the tensor, or written in f32 with `target.allow_dequantize`; nothing falls
// back silently. `target.provenance` becomes keys of the file.
Status write_gguf(const ir::Model& model, const std::string& path, const Target& target,
                  ThreadPool& pool, Progress& progress);
// The error that it would end with before it reads a weight.
Status check_gguf(const ir::Model& model, const Target& target);
// The bytes of the file that it would write.
Expected<WrittenBytes> gguf_bytes(const ir::Model& model, const Target& target);

}  // namespace thimble::formats

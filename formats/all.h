#pragma once
// Every format that models come in and go out as, in one explicit list.

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "ir/dim_range.h"
#include "ir/model.h"
#include "support/progress.h"
#include "support/thread_pool.h"

namespace thimble::formats {

struct ReadOptions {
  bool strict = false;                 // every fallback is an error
  std::optional<ir::Pooling> pooling;  // encoders: in place of what the folder says
  ir::DimRanges dims;                  // of symbolic sizes
};

// `path` is a Hugging Face folder, a GGUF or ONNX file, or the name of a model in the local Hugging
// Face cache
// ("org/name"). Errors name the file, the place in it and the remedy.
Expected<ir::Model> read_model(const std::string& path, const ReadOptions& options);

struct Target {
  std::string format;  // "gguf", "safetensors", "onnx"
  // GGUF: f32, f16, q8_0, q4_0; empty: f32, or what the encodings say. ONNX: see onnx/writer.h.
  std::string type;
  std::map<std::string, std::string> provenance = {};  // ONNX: goes into metadata_props
  std::uint64_t external_threshold = 1'500'000'000;    // ONNX: bytes of weights in one file
};
Status write_model(const ir::Model& model, const std::string& path, const Target& target,
                   ThreadPool& pool, Progress& progress);

}  // namespace thimble::formats

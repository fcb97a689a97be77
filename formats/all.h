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
  bool strict = false;  // every fallback is an error
  ir::DimRanges dims;   // of symbolic sizes
};

// `path` is a Hugging Face folder, a GGUF or ONNX file, or the name of a model in the local Hugging
// Face cache ("org/name"). Errors name the file, the place in it and the remedy.
Expected<ir::Model> read_model(const std::string& path, const ReadOptions& options);

// A TensorProto file of ONNX's (test_data_set_N/input_M.pb), its bytes in place.
Expected<ir::Weight> read_tensor(const std::string& path);

struct Target {
  std::string format;  // "gguf", "safetensors", "onnx"
  // GGUF: f32, f16, q8_0, q4_0; empty: f32, or what the encodings say. ONNX: see onnx/writer.h.
  std::string type;
  std::map<std::string, std::string> provenance = {};  // ONNX: goes into metadata_props
  std::uint64_t external_threshold = 1'500'000'000;    // ONNX: bytes of weights in one file
  bool allow_dequantize = false;  // weights whose encoding the format lacks: as floats
  bool decode = false;            // GGUF, a float type: quantized weights too are written in it
  // ONNX: how products of quantized weights may round what they read; 4: int8, 1: not, 0: as the
  // runtime likes; none: each as its model computes it.
  std::optional<std::int64_t> accuracy_level = {};
};
Status write_model(const ir::Model& model, const std::string& path, const Target& target,
                   ThreadPool& pool, Progress& progress);

// The error that write_model would end with because of what the model is, its graph, encodings and
// shapes, before any of its numbers is read.
Status check_writable(const ir::Model& model, const Target& target);

// The bytes that write_model would write, to the byte. Not of safetensors, whose folder has more in
// it.
struct WrittenBytes {
  std::uint64_t all = 0;
  std::uint64_t weights = 0;  // tensors alone, without what aligns them
};
Expected<WrittenBytes> written_bytes(const ir::Model& model, const std::string& path,
                                     const Target& target);
// About what this weight takes of them; it must be one that the target holds.
std::uint64_t stored_bytes(const ir::Weight& weight, const Target& target);

// Could write_model write this weight as it is encoded, or as floats where the target's options say
// so?
bool holds(const ir::Weight& weight, const Target& target);

// Are quantized weights written as the floats that they stand for?
bool writes_floats(const Target& target);

}  // namespace thimble::formats

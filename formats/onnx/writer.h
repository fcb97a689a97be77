#pragma once
// Writes a model as ONNX, at the lowest opset and IR version that express it.
//
// Weights are streamed: a tensor's rows are made on all threads, written and released. Above
// `external_threshold` bytes of weights, tensors of 1 KiB and more lie in PATH.data, each at a
// multiple of 4 KiB. Both files appear whole or not at all, the data first. A dense weight keeps
// its type: one of f16, bf16 or 8 bits, which the graph takes as f32, is followed by a Cast.
// Encoded weights take the forms that writer_encodings.h tells of. Operators of the domain
// `thimble` are written as standard ones, and a weight that several graphs use is one initializer
// of the main graph.

#include "formats/all.h"

namespace thimble::formats::onnx {

// `target.type`: "float" decodes quantized weights to f32; empty keeps them quantized, and refuses
// by name those that ONNX has no form for, unless `target.allow_dequantize`. What a user should
// know of the forms goes to `progress` as notes.
Status write(const ir::Model& model, const std::string& path, const Target& target,
             ThreadPool& pool, Progress& progress);
// The error that it would end with because of what the model is.
Status check(const ir::Model& model, const Target& target);
// The bytes that it would write, PATH.data's among them.
Expected<WrittenBytes> written_bytes(const ir::Model& model, const std::string& path,
                                     const Target& target);

}  // namespace thimble::formats::onnx

#pragma once
// Writes a model as a Hugging Face folder: config.json, model.safetensors and its tokenizer, by the
// files of the source where that is such a folder.

#include <string>

#include "formats/all.h"

namespace thimble::formats {

// `folder` is made if it isn't there. `type`: see write_safetensors.
Status write_huggingface(const ir::Model& model, const std::string& folder, const std::string& type,
                         Progress& progress);
// For what comes out of passes: quantized weights are decoded only into a type that was asked for,
// or with `target.allow_dequantize`; a source that has no config.json is refused.
Status check_huggingface(const ir::Model& model, const Target& target);

}  // namespace thimble::formats

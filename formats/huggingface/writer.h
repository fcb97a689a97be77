#pragma once
// Writes a model as a Hugging Face folder: config.json, model.safetensors and, where the source is
// such a folder, its tokenizer's files.

#include <string>

#include "ir/model.h"
#include "support/progress.h"

namespace thimble::formats {

// `folder` is made if it isn't there. `type`: see write_safetensors.
Status write_huggingface(const ir::Model& model, const std::string& folder, const std::string& type,
                         Progress& progress);

}  // namespace thimble::formats

#pragma once
// Hugging Face model folders: config.json, generation_config.json, tokenizer files, safetensors.

#include <string>

#include "formats/huggingface/builder.h"
#include "formats/huggingface/config.h"
#include "formats/huggingface/sentences.h"

namespace thimble::formats {

Expected<ir::Model> read_huggingface(const std::string& folder);

// Emits the graph of an architecture from its configuration and weights; `weights` lists what it
// can find. Shared with GGUF, whose metadata becomes such a configuration.
Status build_architecture(const std::string& architecture, const Config& config,
                          const WeightProvider& weights, const Sentences& sentences,
                          ir::Model& model);

// Keeps in model.metadata what writers of other formats need of config.json.
void keep_metadata(const text::Json& json, ir::Model& model);
// The configuration that keep_metadata took apart.
text::Json metadata_config(const ir::Model& model);
// "llama" for "LlamaForCausalLM"; empty: not known.
std::string model_type_of(const std::string& architecture);

// The folder that a name such as "org/model" has in the local Hugging Face cache; an error prints
// the command that downloads it.
Expected<std::string> find_in_cache(const std::string& name);

}  // namespace thimble::formats

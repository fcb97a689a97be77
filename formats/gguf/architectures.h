#pragma once
// The architectures that GGUF files are read for, and how they differ from Hugging Face's.

#include <span>
#include <string_view>

#include "formats/gguf/names.h"

namespace thimble::formats::gguf {

struct Architecture {
  std::string_view gguf, huggingface;
  Naming naming;
  bool interleaved;        // rows of q and k are kept for interleaved rotary positions
  bool gains_include_one;  // norms hold 1 + w where Hugging Face holds w
  bool writable;
};

inline constexpr Architecture kArchitectures[] = {
    {"llama", "LlamaForCausalLM", Naming::kLlama, true, false, true},
    {"llama", "MistralForCausalLM", Naming::kLlama, true, false, true},
    {"qwen2", "Qwen2ForCausalLM", Naming::kLlama, false, false, true},
    {"qwen3", "Qwen3ForCausalLM", Naming::kLlama, false, false, true},
    {"gemma2", "Gemma2ForCausalLM", Naming::kGemma, false, true, false},
    {"gemma3", "Gemma3ForCausalLM", Naming::kGemma, false, true, false},
    {"phi3", "Phi3ForCausalLM", Naming::kPhi3, false, false, true},
};

}  // namespace thimble::formats::gguf

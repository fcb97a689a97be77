#pragma once
// The architectures that GGUF files are read and written for, and how they differ from Hugging
// Face's.

#include <cstdint>
#include <string_view>

#include "formats/gguf/names.h"

namespace thimble::formats::gguf {

enum class Windows {
  kNone,     // every layer sees all before it
  kAll,      // all layers have the window
  kPeriodic  // of each `period` layers all but the last have the window
};

// Does the layer, with kPeriodic? A period of 0: all do; 1: none.
constexpr bool has_window(std::int64_t layer, std::int64_t period) {
  return period == 0 || layer % period < period - 1;
}

// What llama.cpp computes for the name, beyond what the keys of a file say.
struct Architecture {
  std::string_view gguf, huggingface;
  Naming naming = Naming::kLlama;
  bool interleaved = false;        // rows of q and k are kept for interleaved rotary positions
  bool gains_include_one = false;  // norms hold 1 + w where Hugging Face holds w
  bool gelu = false;               // by tanh, not silu
  bool all_biases = false;         // otherwise q, k and v alone may have some
  bool rope_factors = false;       // reads rope_freqs.weight
  bool own_head = true;            // may have another matrix than the embedding
  bool free_heads = true;          // heads may make up another width than the hidden one
  bool softcaps = false;           // of attention and logits, both
  Windows windows = Windows::kNone;
  std::int64_t window = 0, period = 0;  // where no key says others
  std::int64_t largest = 0;  // with so many layers, attention is scaled by hidden / heads
};

inline constexpr Architecture kArchitectures[] = {
    {.gguf = "llama",
     .huggingface = "LlamaForCausalLM",
     .interleaved = true,
     .all_biases = true,
     .rope_factors = true},
    {.gguf = "llama",
     .huggingface = "MistralForCausalLM",
     .interleaved = true,
     .all_biases = true,
     .rope_factors = true},
    {.gguf = "qwen2", .huggingface = "Qwen2ForCausalLM", .free_heads = false},
    {.gguf = "qwen3", .huggingface = "Qwen3ForCausalLM"},
    {.gguf = "gemma2",
     .huggingface = "Gemma2ForCausalLM",
     .naming = Naming::kGemma,
     .gains_include_one = true,
     .gelu = true,
     .own_head = false,
     .softcaps = true,
     .windows = Windows::kPeriodic,
     .window = 4096,
     .period = 2,
     .largest = 46},
    {.gguf = "gemma3",
     .huggingface = "Gemma3ForCausalLM",
     .naming = Naming::kGemma,
     .gains_include_one = true,
     .gelu = true,
     .windows = Windows::kPeriodic,
     .period = 6,
     .largest = 62},
    {.gguf = "phi3",
     .huggingface = "Phi3ForCausalLM",
     .naming = Naming::kPhi3,
     .free_heads = false,
     .windows = Windows::kAll},
    {.gguf = "gpt2",
     .huggingface = "GPT2LMHeadModel",
     .naming = Naming::kGpt2,
     .gelu = true,
     .all_biases = true},
};

}  // namespace thimble::formats::gguf

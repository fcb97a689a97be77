#pragma once
// Tensors' names in GGUF files and in Hugging Face checkpoints.

#include <string>
#include <string_view>

namespace thimble::formats::gguf {

// Where two families disagree about what a name means.
enum class Naming {
  kLlama,  // ffn_norm is the norm after attention
  kGemma,  // norms on both sides of attention and MLP
  kPhi3,   // fused projections: attn_qkv; ffn_up holds gate and up
  kGpt2,   // learnt positions; all names differ, and its products are stored the other way round
};

// "blk.0.attn_q.weight" to "model.layers.0.self_attn.q_proj.weight" and back. Empty: no such name.
std::string to_huggingface(std::string_view name, Naming naming);
std::string to_gguf(std::string_view name, Naming naming);

// The tensor of another kind beside one, as "blk.0.attn_q.scale" is beside "blk.0.attn_q.weight".
std::string beside(std::string_view name, std::string_view kind);

}  // namespace thimble::formats::gguf

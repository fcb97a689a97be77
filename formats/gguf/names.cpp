#include "formats/gguf/names.h"

#include <cctype>
#include <span>

namespace thimble::formats::gguf {
namespace {

struct Pair {
  std::string_view gguf, huggingface;
};

constexpr Pair kWhole[] = {
    {"token_embd", "model.embed_tokens"}, {"output_norm", "model.norm"}, {"output", "lm_head"}};
constexpr Pair kLayer[] = {{"attn_norm", "input_layernorm"},    {"attn_q", "self_attn.q_proj"},
                           {"attn_k", "self_attn.k_proj"},      {"attn_v", "self_attn.v_proj"},
                           {"attn_output", "self_attn.o_proj"}, {"attn_q_norm", "self_attn.q_norm"},
                           {"attn_k_norm", "self_attn.k_norm"}, {"ffn_down", "mlp.down_proj"}};
constexpr Pair kLlamaLayer[] = {{"ffn_norm", "post_attention_layernorm"},
                                {"ffn_gate", "mlp.gate_proj"},
                                {"ffn_up", "mlp.up_proj"}};
constexpr Pair kGemmaLayer[] = {{"post_attention_norm", "post_attention_layernorm"},
                                {"ffn_norm", "pre_feedforward_layernorm"},
                                {"post_ffw_norm", "post_feedforward_layernorm"},
                                {"ffn_gate", "mlp.gate_proj"},
                                {"ffn_up", "mlp.up_proj"}};
constexpr Pair kPhi3Layer[] = {{"ffn_norm", "post_attention_layernorm"},
                               {"attn_qkv", "self_attn.qkv_proj"},
                               {"ffn_up", "mlp.gate_up_proj"}};

std::span<const Pair> own_names(Naming naming) {
  if (naming == Naming::kGemma) return kGemmaLayer;
  if (naming == Naming::kPhi3) return kPhi3Layer;
  return kLlamaLayer;
}

using Side = std::string_view Pair::*;

std::string_view lookup(std::span<const Pair> pairs, std::string_view name, Side from, Side to) {
  for (const Pair& pair : pairs) {
    if (pair.*from == name) return pair.*to;
  }
  return {};
}

std::string translate(std::string_view name, Naming naming, Side from, Side to,
                      std::string_view from_layers, std::string_view to_layers) {
  const auto dot = name.rfind('.');
  if (dot == std::string_view::npos) return "";
  const std::string_view module = name.substr(0, dot), kind = name.substr(dot);
  if (kind != ".weight" && kind != ".bias") return "";
  if (!module.starts_with(from_layers)) {
    const auto found = lookup(kWhole, module, from, to);
    return found.empty() ? "" : std::string(found) + std::string(kind);
  }
  const std::string_view rest = module.substr(from_layers.size());
  const auto end = rest.find('.');
  if (end == 0 || end == std::string_view::npos) return "";
  const std::string_view number = rest.substr(0, end), part = rest.substr(end + 1);
  for (const char c : number) {
    if (std::isdigit(static_cast<unsigned char>(c)) == 0) return "";
  }
  std::string_view found = lookup(own_names(naming), part, from, to);
  if (found.empty()) found = lookup(kLayer, part, from, to);
  if (found.empty()) return "";
  return std::string(to_layers) + std::string(number) + "." + std::string(found) +
         std::string(kind);
}

}  // namespace

std::string to_huggingface(std::string_view name, Naming naming) {
  return translate(name, naming, &Pair::gguf, &Pair::huggingface, "blk.", "model.layers.");
}

std::string to_gguf(std::string_view name, Naming naming) {
  return translate(name, naming, &Pair::huggingface, &Pair::gguf, "model.layers.", "blk.");
}

}  // namespace thimble::formats::gguf

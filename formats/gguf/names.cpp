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

constexpr Pair kGpt2Whole[] = {{"token_embd", "wte"},
                               {"position_embd", "wpe"},
                               {"output_norm", "ln_f"},
                               {"output", "lm_head"}};
constexpr Pair kGpt2Layer[] = {{"attn_norm", "ln_1"},          {"attn_qkv", "attn.c_attn"},
                               {"attn_output", "attn.c_proj"}, {"ffn_norm", "ln_2"},
                               {"ffn_up", "mlp.c_fc"},         {"ffn_down", "mlp.c_proj"}};

struct Names {
  std::string_view layers;  // what layers' numbers follow
  std::span<const Pair> whole, own, shared;
};

Names names_of(Naming naming) {
  constexpr std::string_view kLayers = "model.layers.";
  switch (naming) {
    case Naming::kGemma:
      return {kLayers, kWhole, kGemmaLayer, kLayer};
    case Naming::kPhi3:
      return {kLayers, kWhole, kPhi3Layer, kLayer};
    case Naming::kGpt2:
      return {"h.", kGpt2Whole, kGpt2Layer, {}};
    default:
      return {kLayers, kWhole, kLlamaLayer, kLayer};
  }
}

using Side = std::string_view Pair::*;

std::string_view lookup(std::span<const Pair> pairs, std::string_view name, Side from, Side to) {
  for (const Pair& pair : pairs) {
    if (pair.*from == name) return pair.*to;
  }
  return {};
}

std::string translate(std::string_view name, const Names& names, Side from, Side to,
                      std::string_view from_layers, std::string_view to_layers) {
  const auto dot = name.rfind('.');
  if (dot == std::string_view::npos) return "";
  const std::string_view module = name.substr(0, dot), kind = name.substr(dot);
  if (kind != ".weight" && kind != ".bias") return "";
  if (!module.starts_with(from_layers)) {
    const auto found = lookup(names.whole, module, from, to);
    return found.empty() ? "" : std::string(found) + std::string(kind);
  }
  const std::string_view rest = module.substr(from_layers.size());
  const auto end = rest.find('.');
  if (end == 0 || end == std::string_view::npos) return "";
  const std::string_view number = rest.substr(0, end), part = rest.substr(end + 1);
  for (const char c : number) {
    if (std::isdigit(static_cast<unsigned char>(c)) == 0) return "";
  }
  std::string_view found = lookup(names.own, part, from, to);
  if (found.empty()) found = lookup(names.shared, part, from, to);
  if (found.empty()) return "";
  return std::string(to_layers) + std::string(number) + "." + std::string(found) +
         std::string(kind);
}

}  // namespace

std::string to_huggingface(std::string_view name, Naming naming) {
  const Names names = names_of(naming);
  return translate(name, names, &Pair::gguf, &Pair::huggingface, "blk.", names.layers);
}

std::string to_gguf(std::string_view name, Naming naming) {
  const Names names = names_of(naming);
  return translate(name, names, &Pair::huggingface, &Pair::gguf, names.layers, "blk.");
}

std::string beside(std::string_view name, std::string_view kind) {
  return std::string(name.substr(0, name.rfind('.'))).append(".").append(kind);
}

}  // namespace thimble::formats::gguf

// GPT-2: learnt positions, LayerNorm, one fused projection, weights stored [inputs, outputs].

#include <cmath>

#include "formats/huggingface/decoder.h"

namespace thimble::formats {
namespace {

Expected<ir::ValueId> conv1d(Builder& b, ir::ValueId x, const std::string& module,
                             std::int64_t inputs, std::int64_t outputs) {
  if (b.outputs_first()) return b.linear(x, module, outputs, inputs, true);
  THIMBLE_ASSIGN(const ir::ValueId w, b.weight(module + ".weight", {inputs, outputs}));
  THIMBLE_ASSIGN(const ir::ValueId bias, b.weight(module + ".bias", {outputs}));
  return b.node("Add", {b.node("MatMul", {x, w}, module), bias}, module);
}

Expected<ir::ValueId> block(Builder& b, const Gpt2Spec& g, ir::ValueId x, std::int64_t index,
                            std::vector<ir::ValueId>& presents) {
  const std::string base = "h." + std::to_string(index);
  THIMBLE_ASSIGN(const ir::ValueId before, b.layer_norm(x, base + ".ln_1", g.hidden, g.epsilon));
  THIMBLE_ASSIGN(const ir::ValueId qkv,
                 conv1d(b, before, base + ".attn.c_attn", g.hidden, 3 * g.hidden));
  const auto parts = b.split(qkv, {g.hidden, g.hidden, g.hidden}, base + ".attn.c_attn");
  const float scale = g.scale_by_layer ? g.scale / static_cast<float>(index + 1) : g.scale;
  const ir::ValueId attended = add_attention(
      b, {parts[0], parts[1], parts[2], g.heads, g.heads, g.hidden / g.heads, 0, scale, 0}, index,
      base + ".attn", presents);
  THIMBLE_ASSIGN(const ir::ValueId projected,
                 conv1d(b, attended, base + ".attn.c_proj", g.hidden, g.hidden));
  x = b.node("Add", {x, projected}, base);
  THIMBLE_ASSIGN(const ir::ValueId middle, b.layer_norm(x, base + ".ln_2", g.hidden, g.epsilon));
  THIMBLE_ASSIGN(const ir::ValueId wide, conv1d(b, middle, base + ".mlp.c_fc", g.hidden, g.inner));
  THIMBLE_ASSIGN(const ir::ValueId active, b.activation(wide, g.activation, base + ".mlp.act"));
  THIMBLE_ASSIGN(const ir::ValueId narrow,
                 conv1d(b, active, base + ".mlp.c_proj", g.inner, g.hidden));
  return b.node("Add", {x, narrow}, base);
}

}  // namespace

Expected<Gpt2Spec> read_gpt2(const Config& config) {
  Gpt2Spec g;
  THIMBLE_ASSIGN(g.hidden, config.integer("n_embd", 1, kMostWidth));
  THIMBLE_ASSIGN(g.heads, config.integer("n_head", 1, 65536));
  if (g.hidden % g.heads != 0) return config.wrong("n_head", "does not divide n_embd");
  THIMBLE_ASSIGN(g.layers, config.integer("n_layer", 1, kMostLayers));
  THIMBLE_ASSIGN(g.inner, config.integer_or("n_inner", 4 * g.hidden, 1, kMostWidth));
  THIMBLE_ASSIGN(g.positions, config.integer("n_positions", 1, kMostWidth));
  THIMBLE_ASSIGN(g.vocabulary, config.integer("vocab_size", 1, kMostWidth));
  THIMBLE_ASSIGN(const double epsilon, config.real_or("layer_norm_epsilon", 1e-5));
  g.epsilon = static_cast<float>(epsilon);
  THIMBLE_ASSIGN(g.activation, config.text_or("activation_function", "gelu_new"));
  THIMBLE_ASSIGN(const bool scaled, config.boolean_or("scale_attn_weights", true));
  g.scale = scaled ? 1.0f / std::sqrt(static_cast<float>(g.hidden / g.heads)) : 1.0f;
  THIMBLE_ASSIGN(g.scale_by_layer, config.boolean_or("scale_attn_by_inverse_layer_idx", false));
  return g;
}

Status build_gpt2(Builder& b, const Config& config) {
  THIMBLE_ASSIGN(const Gpt2Spec g, read_gpt2(config));
  b.model().max_context = g.positions;
  const DecoderInputs inputs = add_decoder_inputs(b);
  THIMBLE_ASSIGN(const ir::ValueId table, b.weight("wte.weight", {g.vocabulary, g.hidden}));
  THIMBLE_ASSIGN(const ir::ValueId positions, b.weight("wpe.weight", {g.positions, g.hidden}));
  const ir::ValueId words =
      b.node("Gather", {table, inputs.tokens}, "wte", {{"axis", std::int64_t{0}}});
  const ir::ValueId places =
      b.node("Gather", {positions, inputs.positions}, "wpe", {{"axis", std::int64_t{0}}});
  ir::ValueId x = b.node("Add", {words, places}, "embeddings");
  std::vector<ir::ValueId> presents;
  for (std::int64_t i = 0; i < g.layers; ++i) {
    THIMBLE_ASSIGN(x, block(b, g, x, i, presents));
  }
  THIMBLE_ASSIGN(x, b.layer_norm(x, "ln_f", g.hidden, g.epsilon));
  x = b.node("Gather", {x, inputs.logit_positions}, "logit_rows", {{"axis", std::int64_t{1}}});
  THIMBLE_ASSIGN(const bool tied, config.boolean_or("tie_word_embeddings", true));
  ir::ValueId head = table;
  if (!tied) {
    THIMBLE_ASSIGN(head, b.weight("lm_head.weight", {g.vocabulary, g.hidden}));
  }
  finish_decoder(b, b.linear_with(x, head, "lm_head"), presents);
  return ok();
}

}  // namespace thimble::formats

#pragma once
// The decoder that most architectures are variations of: what varies, as data, and the one builder.
// An architecture's own file fills this in from its configuration.

#include <string>
#include <vector>

#include "formats/huggingface/config.h"
#include "formats/huggingface/sentences.h"

namespace thimble::formats {

struct DecoderLayer {
  std::int64_t window = 0;    // 0: sees everything before it
  bool local_rotary = false;  // uses DecoderSpec::local_rotary
};

struct DecoderSpec {
  std::int64_t hidden = 0, vocabulary = 0, heads = 0, kv_heads = 0, head_dim = 0, intermediate = 0;
  std::int64_t max_context = 0;
  float epsilon = 1e-5f;
  std::string activation = "silu";
  Rotary rotary, local_rotary;
  std::vector<DecoderLayer> layers;
  bool tied = false;  // lm_head is the embedding
  bool qkv_bias = false, output_bias = false, mlp_bias = false;
  bool fused_projections = false;  // qkv_proj and gate_up_proj (Phi-3)
  bool query_key_norms = false;    // over each head
  bool gain_plus_one = false;      // norms multiply by 1 + w (Gemma)
  bool norms_around = false;       // also after attention and after the MLP (Gemma 2, 3)
  float embedding_scale = 1;
  float attention_scale = 0;  // 0: 1 / sqrt(head_dim)
  float attention_softcap = 0, final_softcap = 0;
};

Status build_decoder(Builder& builder, const DecoderSpec& spec);

// What an architecture's configuration means where it says nothing.
struct DecoderDefaults {
  double epsilon = 1e-6;
  bool tied = false;
};

// What Llama's relatives read alike: sizes, norms, rotary positions, biases, ties.
Expected<DecoderSpec> read_decoder(const Config& config, const DecoderDefaults& defaults = {});

// One reader per architecture.
Expected<DecoderSpec> read_llama(const Config& config);
Expected<DecoderSpec> read_mistral(const Config& config);
Expected<DecoderSpec> read_qwen2(const Config& config);
Expected<DecoderSpec> read_qwen3(const Config& config);
Expected<DecoderSpec> read_gemma2(const Config& config);
Expected<DecoderSpec> read_gemma3(const Config& config);
Expected<DecoderSpec> read_phi3(const Config& config);

// By name, "LlamaForCausalLM".
Expected<DecoderSpec> read_spec(const std::string& architecture, const Config& config);

// Those that are not variations of it.
struct Gpt2Spec {
  std::int64_t hidden = 0, heads = 0, layers = 0, inner = 0, positions = 0, vocabulary = 0;
  float epsilon = 1e-5f, scale = 0;  // of attention
  bool scale_by_layer = false;
  std::string activation;
};
Expected<Gpt2Spec> read_gpt2(const Config& config);
Status build_gpt2(Builder& builder, const Config& config);
Status build_bert(Builder& builder, const Config& config, const Sentences& sentences);
Status build_roberta(Builder& builder, const Config& config, const Sentences& sentences);

// The inputs and tail that decoders share (see the graph's contract in
// formats/huggingface/README.md).
struct DecoderInputs {
  ir::ValueId tokens, positions, logit_positions;
};
DecoderInputs add_decoder_inputs(Builder& builder);
// Attention with its cache: adds past_key.N, past_value.N and their presents.
struct AttentionInputs {
  ir::ValueId q, k, v;
  std::int64_t heads, kv_heads, head_dim, window;
  float scale, softcap;
};
ir::ValueId add_attention(Builder& builder, const AttentionInputs& inputs, std::int64_t layer,
                          const std::string& name, std::vector<ir::ValueId>& presents);
void finish_decoder(Builder& builder, ir::ValueId logits, const std::vector<ir::ValueId>& presents);

}  // namespace thimble::formats

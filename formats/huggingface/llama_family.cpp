// Llama and the architectures that differ from it in few ways.

#include <cmath>

#include "formats/huggingface/decoder.h"

namespace thimble::formats {
namespace {

constexpr std::int64_t kMostWindow = std::int64_t{1} << 30;

Status read_activation(const Config& config, const std::string& key, DecoderSpec& spec) {
  THIMBLE_ASSIGN(spec.activation, config.text_or(key, spec.activation));
  return ok();
}

// Sets the windows of layers that layer_types calls sliding_attention.
Status apply_layer_types(const std::vector<std::string>& types, std::int64_t window,
                         const Config& config, DecoderSpec& spec) {
  if (types.size() != spec.layers.size())
    return config.wrong("layer_types", "does not name every layer");
  for (std::size_t i = 0; i < types.size(); ++i) {
    if (types[i] == "sliding_attention") {
      spec.layers[i].window = window;
    } else if (types[i] != "full_attention") {
      return config.wrong(
          "layer_types",
          "names '" + types[i] + "'; supported are full_attention and sliding_attention");
    }
  }
  return ok();
}

Status refuse_unless(const Config& config, const std::string& key, std::int64_t value) {
  THIMBLE_ASSIGN(const std::int64_t given, config.integer_or(key, value, INT64_MIN, INT64_MAX));
  return given == value ? ok()
                        : Status(config.wrong(key, "is " + std::to_string(given) + "; only " +
                                                       std::to_string(value) + " is supported"));
}

}  // namespace

Expected<DecoderSpec> read_llama(const Config& config) {
  THIMBLE_ASSIGN(DecoderSpec spec, read_decoder(config));
  THIMBLE_TRY(read_activation(config, "hidden_act", spec));
  THIMBLE_ASSIGN(const bool bias, config.boolean_or("attention_bias", false));
  spec.qkv_bias = spec.output_bias = bias;
  THIMBLE_ASSIGN(spec.mlp_bias, config.boolean_or("mlp_bias", false));
  THIMBLE_TRY(refuse_unless(config, "pretraining_tp", 1));
  return spec;
}

Expected<DecoderSpec> read_mistral(const Config& config) {
  THIMBLE_ASSIGN(DecoderSpec spec, read_decoder(config));
  THIMBLE_TRY(read_activation(config, "hidden_act", spec));
  THIMBLE_ASSIGN(
      const std::int64_t window,
      config.integer_or("sliding_window", config.json().contains("sliding_window") ? 0 : 4096, 0,
                        kMostWindow));
  THIMBLE_ASSIGN(const auto types, config.texts("layer_types"));
  if (!types.empty()) {
    THIMBLE_TRY(apply_layer_types(types, window, config, spec));
  } else {
    for (DecoderLayer& layer : spec.layers) layer.window = window;
  }
  return spec;
}

Expected<DecoderSpec> read_qwen2(const Config& config) {
  THIMBLE_ASSIGN(DecoderSpec spec, read_decoder(config));
  THIMBLE_TRY(read_activation(config, "hidden_act", spec));
  spec.qkv_bias = true;
  THIMBLE_ASSIGN(const bool use_window, config.boolean_or("use_sliding_window", false));
  THIMBLE_ASSIGN(const std::int64_t window,
                 config.integer_or("sliding_window", 4096, 0, kMostWindow));
  THIMBLE_ASSIGN(const std::int64_t full, config.integer_or("max_window_layers", 28, 0, 65536));
  THIMBLE_ASSIGN(const auto types, config.texts("layer_types"));
  if (!types.empty()) {
    THIMBLE_TRY(apply_layer_types(types, use_window ? window : 0, config, spec));
  } else if (use_window) {
    for (std::size_t i = static_cast<std::size_t>(full); i < spec.layers.size(); ++i)
      spec.layers[i].window = window;
  }
  return spec;
}

Expected<DecoderSpec> read_qwen3(const Config& config) {
  THIMBLE_ASSIGN(DecoderSpec spec, read_qwen2(config));
  THIMBLE_ASSIGN(spec.qkv_bias, config.boolean_or("attention_bias", false));
  spec.output_bias = spec.qkv_bias;
  spec.query_key_norms = true;
  return spec;
}

Expected<DecoderSpec> read_phi3(const Config& config) {
  THIMBLE_ASSIGN(DecoderSpec spec, read_decoder(config, {.epsilon = 1e-5}));
  THIMBLE_TRY(read_activation(config, "hidden_act", spec));
  spec.fused_projections = true;
  THIMBLE_ASSIGN(const std::int64_t window, config.integer_or("sliding_window", 0, 0, kMostWindow));
  THIMBLE_ASSIGN(const auto types, config.texts("layer_types"));
  for (DecoderLayer& layer : spec.layers) layer.window = window;
  if (!types.empty()) {
    for (DecoderLayer& layer : spec.layers) layer.window = 0;
    THIMBLE_TRY(apply_layer_types(types, window, config, spec));
  }
  return spec;
}

Expected<DecoderSpec> read_gemma2(const Config& config) {
  THIMBLE_ASSIGN(DecoderSpec spec, read_decoder(config, {.tied = true}));
  spec.activation = "gelu_pytorch_tanh";
  THIMBLE_TRY(read_activation(config, "hidden_act", spec));
  THIMBLE_TRY(read_activation(config, "hidden_activation", spec));
  spec.gain_plus_one = spec.norms_around = true;
  spec.embedding_scale = std::sqrt(static_cast<float>(spec.hidden));
  THIMBLE_ASSIGN(const double query_scalar, config.real_or("query_pre_attn_scalar", 256));
  spec.attention_scale = static_cast<float>(1.0 / std::sqrt(query_scalar));
  THIMBLE_ASSIGN(const double attention_cap,
                 config.real_or("attn_logit_softcapping",
                                config.json().contains("attn_logit_softcapping") ? 0 : 50));
  THIMBLE_ASSIGN(const double final_cap,
                 config.real_or("final_logit_softcapping",
                                config.json().contains("final_logit_softcapping") ? 0 : 30));
  spec.attention_softcap = static_cast<float>(attention_cap);
  spec.final_softcap = static_cast<float>(final_cap);
  THIMBLE_ASSIGN(const bool bias, config.boolean_or("attention_bias", false));
  spec.qkv_bias = spec.output_bias = bias;
  THIMBLE_ASSIGN(const std::int64_t window,
                 config.integer_or("sliding_window", 4096, 0, kMostWindow));
  THIMBLE_ASSIGN(const auto types, config.texts("layer_types"));
  if (!types.empty()) {
    THIMBLE_TRY(apply_layer_types(types, window, config, spec));
  } else {
    for (std::size_t i = 0; i < spec.layers.size(); i += 2) spec.layers[i].window = window;
  }
  return spec;
}

Expected<DecoderSpec> read_gemma3(const Config& config) {
  THIMBLE_ASSIGN(DecoderSpec spec, read_gemma2(config));
  spec.query_key_norms = true;
  THIMBLE_ASSIGN(const double attention_cap, config.real_or("attn_logit_softcapping", 0));
  THIMBLE_ASSIGN(const double final_cap, config.real_or("final_logit_softcapping", 0));
  spec.attention_softcap = static_cast<float>(attention_cap);
  spec.final_softcap = static_cast<float>(final_cap);
  THIMBLE_ASSIGN(const std::int64_t window,
                 config.integer_or("sliding_window", 4096, 0, kMostWindow));
  THIMBLE_ASSIGN(const std::int64_t pattern,
                 config.integer_or("sliding_window_pattern", 6, 1, 65536));
  if (!config.has("layer_types")) {
    for (std::size_t i = 0; i < spec.layers.size(); ++i)
      spec.layers[i].window = (static_cast<std::int64_t>(i) + 1) % pattern != 0 ? window : 0;
  }
  for (DecoderLayer& layer : spec.layers) layer.local_rotary = layer.window > 0;
  // Local layers rotate faster, and are never stretched.
  THIMBLE_ASSIGN(const Config parameters, config.map("rope_parameters"));
  THIMBLE_ASSIGN(const Config full, parameters.empty() ? Expected<Config>(parameters)
                                                       : parameters.map("full_attention"));
  THIMBLE_ASSIGN(const Config sliding, parameters.empty() ? Expected<Config>(parameters)
                                                          : parameters.map("sliding_attention"));
  RotaryRequest request{.head_dim = spec.head_dim, .max_context = spec.max_context};
  if (!full.empty()) {
    THIMBLE_ASSIGN(request.theta, full.real_or("rope_theta", 1e6));
    THIMBLE_ASSIGN(spec.rotary, read_rotary(full, request));
  } else if (!config.has("rope_theta")) {
    request.theta = 1e6;
    THIMBLE_ASSIGN(const Config scaling, config.map("rope_scaling"));
    THIMBLE_ASSIGN(spec.rotary, read_rotary(scaling, request));
  }
  THIMBLE_ASSIGN(const double local, config.real_or("rope_local_base_freq", 1e4));
  THIMBLE_ASSIGN(request.theta, sliding.real_or("rope_theta", local));
  THIMBLE_ASSIGN(spec.local_rotary, read_rotary(sliding, request));
  return spec;
}

}  // namespace thimble::formats

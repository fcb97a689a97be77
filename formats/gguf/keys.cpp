#include "formats/gguf/keys.h"

#include "formats/huggingface/reader.h"
#include "text/compile.h"

namespace thimble::formats::gguf {
namespace {

Error cannot_say(const std::string& what) {
  return unsupported("GGUF cannot say " + what).fix("write a .thimble file, or safetensors");
}

struct RotaryKeys {
  float theta = 10000;
  std::int64_t dim = 0;
  std::vector<ir::Weight> factors;
  double linear = 0;
  std::int64_t original_context = 0;  // longrope's
  float attention_factor = 1;
};

// What plain frequencies are divided by to become others.
ir::Weight factors_of(const std::string& name, const std::vector<float>& plain,
                      const std::vector<float>& stretched) {
  std::vector<float> factors;
  for (std::size_t i = 0; i < plain.size(); ++i) factors.push_back(plain[i] / stretched[i]);
  return ir::make_dense(name, {static_cast<std::int64_t>(factors.size())},
                        std::span<const float>(factors));
}

// Factors per frequency become tensors: llama3's one, longrope's two; a linear stretching a key.
Expected<RotaryKeys> rotary_of(const Config& config, Naming naming, std::int64_t head_dim,
                               std::int64_t context) {
  THIMBLE_ASSIGN(const Config parameters, config.map("rope_parameters"));
  THIMBLE_ASSIGN(const Config scaling, config.map("rope_scaling"));
  const Config& rope = parameters.empty() ? scaling : parameters;
  THIMBLE_ASSIGN(const double top, config.real_or("rope_theta", 10000));
  THIMBLE_ASSIGN(const double theta, rope.real_or("rope_theta", top));
  THIMBLE_ASSIGN(const double whole, config.real_or("partial_rotary_factor", 1));
  THIMBLE_ASSIGN(const double partial, rope.real_or("partial_rotary_factor", whole));
  THIMBLE_ASSIGN(const std::string old_name, rope.text_or("type", "default"));
  THIMBLE_ASSIGN(const std::string type, rope.text_or("rope_type", old_name));
  const bool phi3 = naming == Naming::kPhi3;
  if (partial != 1 && !phi3) return cannot_say("that a part of each head rotates");
  THIMBLE_ASSIGN(const std::int64_t original,
                 config.integer_or("original_max_position_embeddings", 0, 0, INT32_MAX));
  const RotaryRequest request{.theta = theta,
                              .partial = partial,
                              .head_dim = head_dim,
                              .max_context = context,
                              .original_context = original};
  THIMBLE_ASSIGN(const Rotary plain, read_rotary(Config(nullptr, config.file()), request));
  RotaryKeys keys;
  keys.theta = static_cast<float>(theta);
  keys.dim = plain.dim;
  if (type == "linear") {
    THIMBLE_ASSIGN(keys.linear, rope.real_or("factor", 1));
  } else if (type == "llama3" || type == "factors") {
    THIMBLE_ASSIGN(const Rotary stretched, read_rotary(rope, request));
    keys.factors = {factors_of("rope_freqs.weight", plain.frequencies, stretched.frequencies)};
  } else if (phi3 && (type == "longrope" || type == "su")) {
    THIMBLE_ASSIGN(const Rotary both, read_rotary(rope, request));
    keys.factors = {
        factors_of("rope_factors_long.weight", plain.frequencies, both.long_frequencies),
        factors_of("rope_factors_short.weight", plain.frequencies, both.frequencies)};
    keys.original_context = both.original_context;
    keys.attention_factor = both.attention_factor;
  } else if (type != "default") {
    return cannot_say("a rope type '" + type + "' as it was trained");
  }
  return keys;
}

}  // namespace

void append_text(std::string& out, std::string_view text) {
  append_number(out, static_cast<std::uint64_t>(text.size()));
  out += text;
}

void Keys::begin(std::string_view key, std::uint32_t type) {
  append_text(bytes_, key);
  append_number(bytes_, type);
  ++count_;
}

void Keys::begin_list(std::string_view key, std::uint32_t type, std::size_t count) {
  begin(key, 9);
  append_number(bytes_, type);
  append_number(bytes_, static_cast<std::uint64_t>(count));
}

void Keys::integer(std::string_view key, std::uint32_t value) {
  begin(key, 4);
  append_number(bytes_, value);
}

void Keys::real(std::string_view key, float value) {
  begin(key, 6);
  append_number(bytes_, value);
}

void Keys::boolean(std::string_view key, bool value) {
  begin(key, 7);
  append_number(bytes_, static_cast<std::uint8_t>(value));
}

void Keys::text(std::string_view key, std::string_view value) {
  begin(key, 8);
  append_text(bytes_, value);
}

void Keys::texts(std::string_view key, const std::vector<std::string>& values) {
  begin_list(key, 8, values.size());
  for (const std::string& value : values) append_text(bytes_, value);
}

void Keys::integers(std::string_view key, std::span<const std::int32_t> values) {
  begin_list(key, 5, values.size());
  for (const std::int32_t value : values) append_number(bytes_, value);
}

void Keys::reals(std::string_view key, std::span<const float> values) {
  begin_list(key, 6, values.size());
  for (const float value : values) append_number(bytes_, value);
}

Expected<Network> add_network(const ir::Model& model, const Architecture& architecture,
                              Keys& keys) {
  const Config config(metadata_config(model), model.source_path);
  constexpr std::int64_t kMost = INT32_MAX;
  Network network;
  THIMBLE_ASSIGN(const std::int64_t hidden, config.integer("hidden_size", 1, kMost));
  THIMBLE_ASSIGN(const std::int64_t layers, config.integer("num_hidden_layers", 1, kMost));
  THIMBLE_ASSIGN(const std::int64_t inner, config.integer("intermediate_size", 1, kMost));
  THIMBLE_ASSIGN(network.heads, config.integer("num_attention_heads", 1, kMost));
  THIMBLE_ASSIGN(network.kv_heads,
                 config.integer_or("num_key_value_heads", network.heads, 1, kMost));
  THIMBLE_ASSIGN(const std::int64_t head_dim,
                 config.integer_or("head_dim", hidden / network.heads, 1, kMost));
  THIMBLE_ASSIGN(const std::int64_t context,
                 config.integer_or("max_position_embeddings", 2048, 1, kMost));
  THIMBLE_ASSIGN(network.vocabulary, config.integer("vocab_size", 1, kMost));
  THIMBLE_ASSIGN(const double epsilon, config.real_or("rms_norm_eps", 1e-6));
  THIMBLE_ASSIGN(const std::string act, config.text_or("hidden_act", "silu"));
  if (act != "silu") return cannot_say("an activation '" + act + "' in this architecture");
  THIMBLE_ASSIGN(const std::int64_t window, config.integer_or("sliding_window", 0, 0, kMost));
  const bool phi3 = architecture.naming == Naming::kPhi3;
  for (const ir::NodeId id : model.graph.order()) {
    if (model.graph.node(id).is("Attention", "thimble") && !phi3) {
      return cannot_say("a sliding window in this architecture");
    }
  }
  THIMBLE_ASSIGN(RotaryKeys rotary, rotary_of(config, architecture.naming, head_dim, context));
  const std::string prefix = std::string(architecture.gguf) + ".";
  const auto count = [&](const char* key, std::int64_t value) {
    keys.integer(prefix + key, static_cast<std::uint32_t>(value));
  };
  count("context_length", context);
  count("embedding_length", hidden);
  count("block_count", layers);
  count("feed_forward_length", inner);
  count("attention.head_count", network.heads);
  count("attention.head_count_kv", network.kv_heads);
  count("attention.key_length", head_dim);
  count("attention.value_length", head_dim);
  count("rope.dimension_count", rotary.dim);
  if (phi3 && window > 0) count("attention.sliding_window", window);
  count("vocab_size", network.vocabulary);
  keys.real(prefix + "attention.layer_norm_rms_epsilon", static_cast<float>(epsilon));
  keys.real(prefix + "rope.freq_base", rotary.theta);
  if (rotary.linear != 0) {
    keys.text(prefix + "rope.scaling.type", "linear");
    keys.real(prefix + "rope.scaling.factor", static_cast<float>(rotary.linear));
  }
  if (rotary.original_context != 0) {
    count("rope.scaling.original_context_length", rotary.original_context);
    keys.real(prefix + "rope.scaling.attn_factor", rotary.attention_factor);
  }
  network.rotary_factors = std::move(rotary.factors);
  return network;
}

Status add_tokenizer(const ir::Model& model, std::int64_t vocabulary, Keys& keys) {
  if (model.tokenizer.empty()) {
    keys.text("tokenizer.ggml.model", "none");
    return ok();
  }
  THIMBLE_ASSIGN(const tokenizer::Tables tables, tokenizer::read_tables(model.tokenizer));
  THIMBLE_ASSIGN(text::GgufVocabulary v, text::to_gguf(tables));
  const auto rows = static_cast<std::size_t>(vocabulary);
  if (v.tokens.size() > rows) {
    return invalid_file("the tokenizer has " + std::to_string(v.tokens.size()) +
                        " tokens, the embedding " + std::to_string(rows) + " rows");
  }
  while (v.tokens.size() < rows) {
    v.tokens.push_back("[PAD" + std::to_string(v.tokens.size()) + "]");
    v.scores.push_back(-1e4f);
    v.types.push_back(5);  // unused
  }
  keys.text("tokenizer.ggml.model", v.model);
  if (!v.pre.empty()) keys.text("tokenizer.ggml.pre", v.pre);
  keys.texts("tokenizer.ggml.tokens", v.tokens);
  if (v.model == "llama") keys.reals("tokenizer.ggml.scores", v.scores);
  keys.integers("tokenizer.ggml.token_type", v.types);
  if (!v.merges.empty()) keys.texts("tokenizer.ggml.merges", v.merges);
  const auto id = [&](const char* name, std::int32_t value) {
    if (value >= 0) keys.integer(name, static_cast<std::uint32_t>(value));
  };
  id("tokenizer.ggml.bos_token_id", v.bos);
  id("tokenizer.ggml.eos_token_id", v.eos);
  id("tokenizer.ggml.unknown_token_id", v.unknown);
  id("tokenizer.ggml.padding_token_id", v.pad);
  keys.boolean("tokenizer.ggml.add_bos_token", v.add_bos);
  keys.boolean("tokenizer.ggml.add_eos_token", v.add_eos);
  keys.boolean("tokenizer.ggml.add_space_prefix", v.add_space_prefix);
  if (!model.chat_template.empty()) keys.text("tokenizer.chat_template", model.chat_template);
  return ok();
}

}  // namespace thimble::formats::gguf

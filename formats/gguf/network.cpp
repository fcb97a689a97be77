// The keys that say what a network computes, or why they can't.

#include <cmath>

#include "formats/gguf/keys.h"
#include "formats/huggingface/decoder.h"
#include "formats/huggingface/reader.h"

namespace thimble::formats::gguf {
namespace {

Error cannot_say(const std::string& what) {
  return unsupported("GGUF cannot say " + what).fix("write a .thimble file, or safetensors");
}

class NetworkKeys {
 public:
  NetworkKeys(const Architecture& architecture, const DecoderSpec& spec, Keys& keys)
      : architecture_(architecture), spec_(spec), keys_(keys) {}

  Expected<Network> add() {
    THIMBLE_TRY(check());
    sizes();
    query_factor();
    THIMBLE_TRY(windows());
    softcaps();
    THIMBLE_TRY(rotary());
    THIMBLE_TRY(local_rotary());
    network_.heads = spec_.heads;
    network_.kv_heads = spec_.kv_heads;
    network_.vocabulary = spec_.vocabulary;
    return std::move(network_);
  }

 private:
  void count(const char* key, std::int64_t value) {
    keys_.integer(named(key), static_cast<std::uint32_t>(value));
  }
  void real(const char* key, double value) { keys_.real(named(key), static_cast<float>(value)); }
  std::string named(const char* key) const { return std::string(architecture_.gguf) + "." + key; }

  // What no key says: llama.cpp knows it by the architecture.
  Status check() const {
    const std::string& act = spec_.activation;
    if (architecture_.gelu ? !is_tanh_gelu(act) : act != "silu")
      return cannot_say("an activation '" + act + "' in this architecture");
    if (!architecture_.all_biases && (spec_.output_bias || spec_.mlp_bias))
      return cannot_say("a bias of attention's output or of the MLP in this architecture");
    if (!architecture_.own_head && !spec_.tied)
      return cannot_say("a head of its own in this architecture");
    if (!architecture_.free_heads && spec_.heads * spec_.head_dim != spec_.hidden)
      return cannot_say("heads of " + std::to_string(spec_.head_dim) + " in this architecture");
    const bool caps = spec_.attention_softcap > 0 && spec_.final_softcap > 0;
    if (architecture_.softcaps ? !caps : spec_.attention_softcap != 0)
      return cannot_say("these softcaps in this architecture");
    return ok();
  }

  // llama.cpp derives the scale of attention from sizes; what it lacks goes into what the queries
  // are multiplied by last.
  void query_factor() {
    if (spec_.attention_scale == 0) return;
    const bool largest = static_cast<std::int64_t>(spec_.layers.size()) == architecture_.largest;
    const double divisor =
        static_cast<double>(largest ? spec_.hidden / spec_.heads : spec_.head_dim);
    const double factor = spec_.attention_scale * std::sqrt(divisor);
    const double power = std::exp2(std::round(std::log2(factor)));  // which is exact in any type
    network_.query_factor =
        static_cast<float>(std::fabs(factor / power - 1) < 1e-5 ? power : factor);
    network_.query_scales = spec_.query_key_norms ? ".q_norm.weight" : ".q_proj.weight";
  }

  void sizes() {
    count("context_length", spec_.max_context);
    count("embedding_length", spec_.hidden);
    count("block_count", static_cast<std::int64_t>(spec_.layers.size()));
    count("feed_forward_length", spec_.intermediate);
    count("attention.head_count", spec_.heads);
    count("attention.head_count_kv", spec_.kv_heads);
    count("attention.key_length", spec_.head_dim);
    count("attention.value_length", spec_.head_dim);
    count("vocab_size", spec_.vocabulary);
    real("attention.layer_norm_rms_epsilon", spec_.epsilon);
  }

  // Do the layers have windows as with this period?
  bool has_period(std::int64_t period) const {
    for (std::size_t i = 0; i < spec_.layers.size(); ++i) {
      const bool inside = has_window(static_cast<std::int64_t>(i), period);
      if (inside != (spec_.layers[i].window > 0)) return false;
    }
    return true;
  }

  Status windows() {
    std::int64_t window = 0;
    for (const DecoderLayer& layer : spec_.layers) window = std::max(window, layer.window);
    if (window == 0 && architecture_.windows != Windows::kPeriodic) return ok();
    if (architecture_.windows == Windows::kNone)
      return cannot_say("a sliding window in architecture '" + std::string(architecture_.gguf) +
                        "': llama.cpp would let every layer see all before it");
    std::int64_t period = architecture_.period;
    if (!has_period(period)) period = 0;
    const auto layers = static_cast<std::int64_t>(spec_.layers.size());
    while (period <= layers && !has_period(period)) ++period;
    if (!has_period(period)) return cannot_say("which layers have sliding windows");
    if (window > 0) count("attention.sliding_window", window);
    if (architecture_.windows == Windows::kAll)
      network_.note = "llama.cpp reads past this architecture's window of " +
                      std::to_string(window) + ": longer texts differ there";
    if (period != architecture_.period) count("attention.sliding_window_pattern", period);
    return ok();
  }

  void softcaps() {
    if (spec_.attention_softcap > 0) real("attn_logit_softcapping", spec_.attention_softcap);
    if (spec_.final_softcap > 0) real("final_logit_softcapping", spec_.final_softcap);
  }

  Status rotary() {
    const Rotary& r = spec_.rotary;
    const bool phi3 = architecture_.naming == Naming::kPhi3;
    if (r.dim != spec_.head_dim && !phi3) return cannot_say("that a part of each head rotates");
    count("rope.dimension_count", r.dim);
    real("rope.freq_base", r.theta);
    const bool known_yarn = r.type == "yarn" && r.usual_ramp;
    if (r.type == "linear" || (known_yarn && architecture_.windows != Windows::kPeriodic)) {
      scaling();
    } else if (phi3 && (r.type == "longrope" || r.type == "su")) {
      add_factors("rope_factors_long.weight", r.long_frequencies);
      add_factors("rope_factors_short.weight", r.frequencies);
      count("rope.scaling.original_context_length", r.original_context);
      real("rope.scaling.attn_factor", r.attention_factor);
    } else if (architecture_.rope_factors && r.type != "default" && r.long_frequencies.empty()) {
      add_factors("rope_freqs.weight", r.frequencies);
      if (r.attention_factor != 1) real("rope.scaling.attn_factor", r.attention_factor);
    } else if (r.type != "default") {
      return cannot_say("a rope type '" + r.type + "' as it was trained in this architecture");
    }
    return ok();
  }

  // A stretching that llama.cpp computes itself.
  void scaling() {
    const Rotary& r = spec_.rotary;
    keys_.text(named("rope.scaling.type"), r.type);
    real("rope.scaling.factor", r.factor);
    if (r.type != "yarn") return;
    count("rope.scaling.original_context_length", r.original_context);
    const double beyond = r.attention_factor / yarn_attention(r.factor);
    if (std::fabs(beyond - 1) > 1e-6) real("rope.scaling.attn_factor", beyond);
  }

  // Frequencies as factors that plain ones are divided by.
  void add_factors(const char* name, const std::vector<float>& stretched) {
    const std::vector<double> plain = plain_frequencies(spec_.rotary.theta, spec_.rotary.dim);
    std::vector<float> factors;
    for (std::size_t i = 0; i < stretched.size(); ++i)
      factors.push_back(static_cast<float>(plain[i]) / stretched[i]);
    network_.rotary_factors.push_back(ir::make_dense(
        name, {static_cast<std::int64_t>(factors.size())}, std::span<const float>(factors)));
  }

  // Of layers with a window.
  Status local_rotary() {
    const Rotary& local = spec_.local_rotary;
    if (local.frequencies.empty()) return ok();
    if (local.type != "default")
      return cannot_say("a rope type '" + local.type + "' of layers with a window");
    real("rope.freq_base_swa", local.theta);
    return ok();
  }

  const Architecture& architecture_;
  const DecoderSpec& spec_;
  Keys& keys_;
  Network network_;
};

Expected<Network> add_gpt2(const Gpt2Spec& spec, const Architecture& architecture, Keys& keys) {
  if (!is_tanh_gelu(spec.activation))
    return cannot_say("an activation '" + spec.activation + "' in this architecture");
  const float usual = 1.0f / std::sqrt(static_cast<float>(spec.hidden / spec.heads));
  if (spec.scale != usual || spec.scale_by_layer) return cannot_say("this scale of attention");
  const std::pair<const char*, std::int64_t> kCounts[] = {
      {"context_length", spec.positions},   {"embedding_length", spec.hidden},
      {"block_count", spec.layers},         {"feed_forward_length", spec.inner},
      {"attention.head_count", spec.heads}, {"vocab_size", spec.vocabulary}};
  const std::string prefix = std::string(architecture.gguf) + ".";
  for (const auto& [key, value] : kCounts)
    keys.integer(prefix + key, static_cast<std::uint32_t>(value));
  keys.real(prefix + "attention.layer_norm_epsilon", spec.epsilon);
  Network network;
  network.heads = network.kv_heads = spec.heads;
  network.vocabulary = spec.vocabulary;
  return network;
}

}  // namespace

Expected<Network> add_network(const ir::Model& model, const Architecture& architecture,
                              Keys& keys) {
  const Config config(metadata_config(model), model.source_path);
  if (architecture.naming == Naming::kGpt2) {
    THIMBLE_ASSIGN(const Gpt2Spec spec, read_gpt2(config));
    return add_gpt2(spec, architecture, keys);
  }
  THIMBLE_ASSIGN(const DecoderSpec spec, read_spec(model.architecture, config));
  return NetworkKeys(architecture, spec, keys).add();
}

}  // namespace thimble::formats::gguf

#include "formats/huggingface/decoder.h"

#include <cmath>

namespace thimble::formats {
namespace {

class DecoderBuilder {
 public:
  DecoderBuilder(Builder& builder, const DecoderSpec& spec) : b_(builder), spec_(spec) {}

  Status build() {
    const DecoderInputs inputs = add_decoder_inputs(b_);
    THIMBLE_ASSIGN(const ir::ValueId table,
                   b_.weight("model.embed_tokens.weight", {spec_.vocabulary, spec_.hidden}));
    ir::ValueId x = b_.node("Gather", {table, inputs.tokens}, "model.embed_tokens",
                            {{"axis", std::int64_t{0}}});
    if (spec_.embedding_scale != 1.0f)
      x = b_.node("Mul", {x, b_.scalar(spec_.embedding_scale)}, "model.embed_tokens");
    rotary_ = b_.rotary_tables(inputs.positions, spec_.rotary, "model.rotary");
    if (!spec_.local_rotary.frequencies.empty())
      local_rotary_ = b_.rotary_tables(inputs.positions, spec_.local_rotary, "model.local_rotary");
    for (std::size_t i = 0; i < spec_.layers.size(); ++i) {
      THIMBLE_ASSIGN(x, layer(x, static_cast<std::int64_t>(i)));
    }
    THIMBLE_ASSIGN(x,
                   b_.rms_norm(x, "model.norm", spec_.hidden, spec_.epsilon, spec_.gain_plus_one));
    x = b_.node("Gather", {x, inputs.logit_positions}, "logit_rows", {{"axis", std::int64_t{1}}});
    ir::ValueId head = table;
    if (!spec_.tied) {
      THIMBLE_ASSIGN(head, b_.weight("lm_head.weight", {spec_.vocabulary, spec_.hidden}));
    }
    ir::ValueId logits = b_.linear_with(x, head, "lm_head");
    if (spec_.final_softcap != 0.0f) {
      const ir::ValueId cap = b_.scalar(spec_.final_softcap);
      const ir::ValueId small =
          b_.node("Tanh", {b_.node("Div", {logits, cap}, "lm_head")}, "lm_head");
      logits = b_.node("Mul", {small, cap}, "lm_head");
    }
    finish_decoder(b_, logits, presents_);
    return ok();
  }

 private:
  Expected<ir::ValueId> norm(ir::ValueId x, const std::string& name) {
    return b_.rms_norm(x, name, spec_.hidden, spec_.epsilon, spec_.gain_plus_one);
  }

  Expected<ir::ValueId> layer(ir::ValueId x, std::int64_t index) {
    const std::string base = "model.layers." + std::to_string(index);
    THIMBLE_ASSIGN(const ir::ValueId before, norm(x, base + ".input_layernorm"));
    THIMBLE_ASSIGN(ir::ValueId attended, attention(before, index, base + ".self_attn"));
    if (spec_.norms_around) {
      THIMBLE_ASSIGN(attended, norm(attended, base + ".post_attention_layernorm"));
    }
    x = b_.node("Add", {x, attended}, base);
    THIMBLE_ASSIGN(const ir::ValueId middle,
                   norm(x, base + (spec_.norms_around ? ".pre_feedforward_layernorm"
                                                      : ".post_attention_layernorm")));
    THIMBLE_ASSIGN(ir::ValueId fed, mlp(middle, base + ".mlp"));
    if (spec_.norms_around) {
      THIMBLE_ASSIGN(fed, norm(fed, base + ".post_feedforward_layernorm"));
    }
    return b_.node("Add", {x, fed}, base);
  }

  // Over each head on its own.
  Expected<ir::ValueId> head_norm(ir::ValueId x, std::int64_t heads, const std::string& name) {
    const ir::ValueId parts = b_.reshape(x, {0, 0, heads, spec_.head_dim}, name);
    THIMBLE_ASSIGN(const ir::ValueId normal,
                   b_.rms_norm(parts, name, spec_.head_dim, spec_.epsilon, spec_.gain_plus_one));
    return b_.reshape(normal, {0, 0, heads * spec_.head_dim}, name);
  }

  Expected<std::vector<ir::ValueId>> projections(ir::ValueId x, const std::string& name) {
    const std::int64_t q_width = spec_.heads * spec_.head_dim,
                       kv_width = spec_.kv_heads * spec_.head_dim;
    if (spec_.fused_projections) {
      THIMBLE_ASSIGN(const ir::ValueId all, b_.linear(x, name + ".qkv_proj", q_width + 2 * kv_width,
                                                      spec_.hidden, spec_.qkv_bias));
      return b_.split(all, {q_width, kv_width, kv_width}, name + ".qkv_proj");
    }
    std::vector<ir::ValueId> out;
    for (const char* part : {".q_proj", ".k_proj", ".v_proj"}) {
      THIMBLE_ASSIGN(const ir::ValueId y,
                     b_.linear(x, name + part, out.empty() ? q_width : kv_width, spec_.hidden,
                               spec_.qkv_bias));
      out.push_back(y);
    }
    return out;
  }

  Expected<ir::ValueId> attention(ir::ValueId x, std::int64_t index, const std::string& name) {
    const DecoderLayer& kind = spec_.layers[static_cast<std::size_t>(index)];
    THIMBLE_ASSIGN(std::vector<ir::ValueId> qkv, projections(x, name));
    if (spec_.query_key_norms) {
      THIMBLE_ASSIGN(qkv[0], head_norm(qkv[0], spec_.heads, name + ".q_norm"));
      THIMBLE_ASSIGN(qkv[1], head_norm(qkv[1], spec_.kv_heads, name + ".k_norm"));
    }
    const RotaryValues& tables = kind.local_rotary ? local_rotary_ : rotary_;
    const ir::ValueId q =
        b_.rotate(qkv[0], tables, spec_.heads, spec_.head_dim, name + ".q_rotary");
    const ir::ValueId k =
        b_.rotate(qkv[1], tables, spec_.kv_heads, spec_.head_dim, name + ".k_rotary");
    const float scale = spec_.attention_scale != 0.0f
                            ? spec_.attention_scale
                            : 1.0f / std::sqrt(static_cast<float>(spec_.head_dim));
    const ir::ValueId y = add_attention(b_,
                                        {q, k, qkv[2], spec_.heads, spec_.kv_heads, spec_.head_dim,
                                         kind.window, scale, spec_.attention_softcap},
                                        index, name, presents_);
    return b_.linear(y, name + ".o_proj", spec_.hidden, spec_.heads * spec_.head_dim,
                     spec_.output_bias);
  }

  Expected<ir::ValueId> mlp(ir::ValueId x, const std::string& name) {
    ir::ValueId gate, up;
    if (spec_.fused_projections) {
      THIMBLE_ASSIGN(const ir::ValueId both,
                     b_.linear(x, name + ".gate_up_proj", 2 * spec_.intermediate, spec_.hidden,
                               spec_.mlp_bias));
      const auto parts =
          b_.split(both, {spec_.intermediate, spec_.intermediate}, name + ".gate_up_proj");
      gate = parts[0], up = parts[1];
    } else {
      THIMBLE_ASSIGN(gate, b_.linear(x, name + ".gate_proj", spec_.intermediate, spec_.hidden,
                                     spec_.mlp_bias));
      THIMBLE_ASSIGN(
          up, b_.linear(x, name + ".up_proj", spec_.intermediate, spec_.hidden, spec_.mlp_bias));
    }
    THIMBLE_ASSIGN(const ir::ValueId active,
                   b_.activation(gate, spec_.activation, name + ".act_fn"));
    const ir::ValueId gated = b_.node("Mul", {active, up}, name);
    return b_.linear(gated, name + ".down_proj", spec_.hidden, spec_.intermediate, spec_.mlp_bias);
  }

  Builder& b_;
  const DecoderSpec& spec_;
  RotaryValues rotary_, local_rotary_;
  std::vector<ir::ValueId> presents_;
};

}  // namespace

DecoderInputs add_decoder_inputs(Builder& builder) {
  using ir::Dim;
  ir::Graph& graph = builder.graph();
  const ir::Shape tokens = {Dim::symbol("batch"), Dim::symbol("seq")};
  return {graph.add_input("input_ids", ir::DType::kI64, tokens),
          graph.add_input("position_ids", ir::DType::kI64, tokens),
          graph.add_input("logit_positions", ir::DType::kI64, ir::Shape{Dim::symbol("n_logits")})};
}

ir::ValueId add_attention(Builder& builder, const AttentionInputs& in, std::int64_t layer,
                          const std::string& name, std::vector<ir::ValueId>& presents) {
  using ir::Dim;
  ir::Graph& graph = builder.graph();
  const std::string suffix = "." + std::to_string(layer);
  const ir::Shape cache = {Dim::symbol("batch"), in.kv_heads, Dim::symbol("past"), in.head_dim};
  const ir::ValueId past_key = graph.add_input("past_key" + suffix, ir::DType::kF32, cache);
  const ir::ValueId past_value = graph.add_input("past_value" + suffix, ir::DType::kF32, cache);
  ir::Node node{in.window > 0 ? "thimble" : "",
                "Attention",
                name,
                {in.q, in.k, in.v, {}, past_key, past_value},
                {},
                {}};
  node.attributes = {{"is_causal", std::int64_t{1}},
                     {"kv_num_heads", in.kv_heads},
                     {"q_num_heads", in.heads},
                     {"scale", in.scale},
                     {"softcap", in.softcap}};
  if (in.window > 0) node.attributes.push_back({"window", in.window});
  const ir::NodeId id = graph.add_node(
      std::move(node), {name + ".Attention", "present_key" + suffix, "present_value" + suffix});
  const std::vector<ir::ValueId> outputs = graph.node(id).outputs;
  presents.push_back(outputs[1]);
  presents.push_back(outputs[2]);
  builder.model().states.push_back({"past_key" + suffix, "present_key" + suffix});
  builder.model().states.push_back({"past_value" + suffix, "present_value" + suffix});
  return outputs[0];
}

void finish_decoder(Builder& builder, ir::ValueId logits,
                    const std::vector<ir::ValueId>& presents) {
  builder.graph().rename(logits, "logits");
  std::vector<ir::ValueId> outputs = {logits};
  outputs.insert(outputs.end(), presents.begin(), presents.end());
  builder.graph().set_outputs(std::move(outputs));
  builder.model().task = ir::Task::kGenerate;
}

Status build_decoder(Builder& builder, const DecoderSpec& spec) {
  builder.model().max_context = spec.max_context;
  return DecoderBuilder(builder, spec).build();
}

Expected<DecoderSpec> read_decoder(const Config& config, const DecoderDefaults& defaults) {
  DecoderSpec spec;
  THIMBLE_ASSIGN(spec.hidden, config.integer("hidden_size", 1, kMostWidth));
  THIMBLE_ASSIGN(spec.vocabulary, config.integer("vocab_size", 1, kMostWidth));
  THIMBLE_ASSIGN(spec.heads, config.integer("num_attention_heads", 1, 65536));
  THIMBLE_ASSIGN(spec.kv_heads, config.integer_or("num_key_value_heads", spec.heads, 1, 65536));
  THIMBLE_ASSIGN(spec.head_dim, config.integer_or("head_dim", spec.hidden / spec.heads, 1, 65536));
  THIMBLE_ASSIGN(spec.intermediate, config.integer("intermediate_size", 1, kMostWidth));
  THIMBLE_ASSIGN(const std::int64_t layers, config.integer("num_hidden_layers", 1, kMostLayers));
  THIMBLE_ASSIGN(spec.max_context,
                 config.integer_or("max_position_embeddings", 2048, 1, std::int64_t{1} << 30));
  THIMBLE_ASSIGN(const double epsilon, config.real_or("rms_norm_eps", defaults.epsilon));
  THIMBLE_ASSIGN(spec.tied, config.boolean_or("tie_word_embeddings", defaults.tied));
  spec.epsilon = static_cast<float>(epsilon);
  spec.layers.resize(static_cast<std::size_t>(layers));
  if (spec.head_dim < 1) return config.wrong("num_attention_heads", "is larger than hidden_size");
  if (spec.heads % spec.kv_heads != 0)
    return config.wrong("num_key_value_heads", "does not divide num_attention_heads");
  THIMBLE_ASSIGN(const Config scaling, config.map("rope_scaling"));
  THIMBLE_ASSIGN(const Config parameters, config.map("rope_parameters"));
  const Config& rope = parameters.empty() ? scaling : parameters;
  RotaryRequest request{.head_dim = spec.head_dim, .max_context = spec.max_context};
  THIMBLE_ASSIGN(const double theta, config.real_or("rope_theta", 10000));
  THIMBLE_ASSIGN(request.theta, rope.real_or("rope_theta", theta));
  THIMBLE_ASSIGN(const double partial, config.real_or("partial_rotary_factor", 1));
  THIMBLE_ASSIGN(request.partial, rope.real_or("partial_rotary_factor", partial));
  THIMBLE_ASSIGN(request.original_context, config.integer_or("original_max_position_embeddings", 0,
                                                             0, std::int64_t{1} << 30));
  if (!rope.json().is_object() ||
      !rope.json().contains("full_attention")) {  // Gemma 3 reads a map per kind of layer itself
    THIMBLE_ASSIGN(spec.rotary, read_rotary(rope, request));
  }
  return spec;
}

}  // namespace thimble::formats

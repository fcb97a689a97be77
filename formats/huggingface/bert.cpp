// BERT and RoBERTa: encoders with learnt positions, norms after each half of a layer, and the
// pooling that makes a sentence of tokens.

#include <cmath>

#include "formats/huggingface/decoder.h"

namespace thimble::formats {
namespace {

struct Encoder {
  std::int64_t hidden, heads, layers, intermediate, positions, vocabulary, types;
  float epsilon;
  std::string activation;
};

Expected<Encoder> read(const Config& config) {
  Encoder e;
  THIMBLE_ASSIGN(e.hidden, config.integer("hidden_size", 1, kMostWidth));
  THIMBLE_ASSIGN(e.heads, config.integer("num_attention_heads", 1, 65536));
  if (e.hidden % e.heads != 0) {
    return config.wrong("num_attention_heads", "does not divide hidden_size");
  }
  THIMBLE_ASSIGN(e.layers, config.integer("num_hidden_layers", 1, 4096));
  THIMBLE_ASSIGN(e.intermediate, config.integer("intermediate_size", 1, kMostWidth));
  THIMBLE_ASSIGN(e.positions, config.integer("max_position_embeddings", 1, kMostWidth));
  THIMBLE_ASSIGN(e.vocabulary, config.integer("vocab_size", 1, kMostWidth));
  THIMBLE_ASSIGN(e.types, config.integer_or("type_vocab_size", 2, 1, 1024));
  THIMBLE_ASSIGN(const double epsilon, config.real_or("layer_norm_eps", 1e-12));
  e.epsilon = static_cast<float>(epsilon);
  THIMBLE_ASSIGN(e.activation, config.text_or("hidden_act", "gelu"));
  (void)config.has("tie_word_embeddings");  // of the language model head, which an encoder has not
  THIMBLE_ASSIGN(const bool causal, config.boolean_or("is_decoder", false));
  if (causal) return config.wrong("is_decoder", "is true; only encoders are supported");
  THIMBLE_ASSIGN(const std::string kind, config.text_or("position_embedding_type", "absolute"));
  if (kind != "absolute")
    return config.wrong("position_embedding_type", "is '" + kind + "'; only absolute is supported");
  return e;
}

class EncoderBuilder {
 public:
  EncoderBuilder(Builder& b, const Encoder& e) : b_(b), e_(e) {
    const ir::Shape shape = {ir::Dim::symbol("batch"), ir::Dim::symbol("seq")};
    ids_ = b.graph().add_input("input_ids", ir::DType::kI64, shape);
    mask_ = b.graph().add_input("attention_mask", ir::DType::kI64, shape);
  }

  // BERT counts positions from 0.
  ir::ValueId plain_positions() {
    const ir::ValueId length = b_.node("Shape", {ids_}, "positions",
                                       {{"end", std::int64_t{2}}, {"start", std::int64_t{1}}});
    const ir::ValueId scalar = b_.node("Squeeze", {length, b_.integers({0})}, "positions");
    return b_.node("Range", {integer(0), scalar, integer(1)}, "positions");
  }
  // RoBERTa counts tokens that aren't padding, from padding_idx + 1.
  ir::ValueId counted_positions(std::int64_t pad) {
    const ir::ValueId padding = b_.node("Equal", {ids_, integer(pad)}, "positions");
    const ir::ValueId real = b_.node("Cast", {b_.node("Not", {padding}, "positions")}, "positions",
                                     {{"to", std::int64_t{7}}});
    const ir::ValueId count = b_.node("CumSum", {real, integer(1)}, "positions");
    return b_.node("Add", {b_.node("Mul", {count, real}, "positions"), integer(pad)}, "positions");
  }
  ir::ValueId token_types() {
    const ir::Shape shape = {ir::Dim::symbol("batch"), ir::Dim::symbol("seq")};
    return b_.graph().add_input("token_type_ids", ir::DType::kI64, shape);
  }

  // `first_position` is that of a sentence's first token.
  Status build(ir::ValueId positions, std::int64_t first_position, ir::ValueId types,
               const Sentences& sentences) {
    THIMBLE_ASSIGN(ir::ValueId x, embed("word_embeddings", e_.vocabulary, ids_));
    THIMBLE_ASSIGN(const ir::ValueId kinds,
                   types.valid() ? embed("token_type_embeddings", e_.types, types) : first_type());
    THIMBLE_ASSIGN(const ir::ValueId places, embed("position_embeddings", e_.positions, positions));
    x = b_.node("Add", {b_.node("Add", {x, kinds}, "embeddings"), places}, "embeddings");
    THIMBLE_ASSIGN(x, b_.layer_norm(x, "embeddings.LayerNorm", e_.hidden, e_.epsilon));
    const ir::ValueId rows = b_.node("Unsqueeze", {mask_, b_.integers({1, 2})}, "attention_mask");
    seen_ = b_.node("Cast", {rows}, "attention_mask", {{"to", std::int64_t{9}}});
    for (std::int64_t i = 0; i < e_.layers; ++i) {
      THIMBLE_ASSIGN(x, layer(x, "encoder.layer." + std::to_string(i)));
    }
    b_.graph().rename(x, "last_hidden_state");
    std::vector<ir::ValueId> outputs = {x};
    if (sentences.pooling != ir::Pooling::kNone) outputs.push_back(sentence(x, sentences));
    b_.graph().set_outputs(std::move(outputs));
    b_.model().task = ir::Task::kEmbed;
    b_.model().pooling = sentences.pooling;
    b_.model().max_context = e_.positions - first_position;
    return ok();
  }

 private:
  ir::ValueId integer(std::int64_t value) {
    const std::int64_t one[] = {value};
    return b_.model().constant(
        b_.model().add_weight(ir::make_dense("integer." + std::to_string(integers_++), {}, one)));
  }

  Expected<ir::ValueId> embed(const std::string& name, std::int64_t rows, ir::ValueId indices) {
    const std::string module = "embeddings." + name;
    THIMBLE_ASSIGN(const ir::ValueId table, b_.weight(module + ".weight", {rows, e_.hidden}));
    return b_.node("Gather", {table, indices}, module, {{"axis", std::int64_t{0}}});
  }
  // RoBERTa has one type of token.
  Expected<ir::ValueId> first_type() {
    THIMBLE_ASSIGN(const ir::ValueId table,
                   b_.weight("embeddings.token_type_embeddings.weight", {e_.types, e_.hidden}));
    return b_.node("Gather", {table, integer(0)}, "embeddings.token_type_embeddings",
                   {{"axis", std::int64_t{0}}});
  }

  Expected<ir::ValueId> layer(ir::ValueId x, const std::string& base) {
    const std::string attention = base + ".attention.self";
    std::vector<ir::ValueId> inputs;
    for (const char* part : {".query", ".key", ".value"}) {
      THIMBLE_ASSIGN(const ir::ValueId y,
                     b_.linear(x, attention + part, e_.hidden, e_.hidden, true));
      inputs.push_back(y);
    }
    inputs.push_back(seen_);
    const float scale = 1.0f / std::sqrt(static_cast<float>(e_.hidden / e_.heads));
    const ir::ValueId mixed = b_.node("Attention", inputs, attention,
                                      {{"is_causal", std::int64_t{0}},
                                       {"kv_num_heads", e_.heads},
                                       {"q_num_heads", e_.heads},
                                       {"scale", scale}});
    THIMBLE_ASSIGN(const ir::ValueId projected,
                   b_.linear(mixed, base + ".attention.output.dense", e_.hidden, e_.hidden, true));
    THIMBLE_ASSIGN(x, b_.layer_norm(b_.node("Add", {projected, x}, base),
                                    base + ".attention.output.LayerNorm", e_.hidden, e_.epsilon));
    THIMBLE_ASSIGN(const ir::ValueId wide,
                   b_.linear(x, base + ".intermediate.dense", e_.intermediate, e_.hidden, true));
    THIMBLE_ASSIGN(const ir::ValueId active,
                   b_.activation(wide, e_.activation, base + ".intermediate"));
    THIMBLE_ASSIGN(const ir::ValueId narrow,
                   b_.linear(active, base + ".output.dense", e_.hidden, e_.intermediate, true));
    return b_.layer_norm(b_.node("Add", {narrow, x}, base), base + ".output.LayerNorm", e_.hidden,
                         e_.epsilon);
  }

  // Mean over the tokens that the mask lets through, or the first token; then perhaps to length 1.
  ir::ValueId sentence(ir::ValueId x, const Sentences& sentences) {
    const std::string name = "pooling";
    ir::ValueId pooled;
    if (sentences.pooling == ir::Pooling::kCls) {
      pooled = b_.node("Gather", {x, integer(0)}, name, {{"axis", std::int64_t{1}}});
    } else {
      const ir::ValueId weights =
          b_.node("Cast", {b_.node("Unsqueeze", {mask_, b_.integers({-1})}, name)}, name,
                  {{"to", std::int64_t{1}}});
      const ir::ValueId sum =
          b_.node("ReduceSum", {b_.node("Mul", {x, weights}, name), b_.integers({1})}, name,
                  {{"keepdims", std::int64_t{0}}});
      const ir::ValueId count =
          b_.node("ReduceSum", {weights, b_.integers({1})}, name, {{"keepdims", std::int64_t{0}}});
      pooled = b_.node("Div", {sum, b_.node("Max", {count, b_.scalar(1e-9f)}, name)}, name);
    }
    if (sentences.normalize) {
      const ir::ValueId length =
          b_.node("ReduceL2", {pooled, b_.integers({-1})}, name, {{"keepdims", std::int64_t{1}}});
      pooled = b_.node("Div", {pooled, b_.node("Max", {length, b_.scalar(1e-12f)}, name)}, name);
    }
    b_.graph().rename(pooled, "sentence_embedding");
    return pooled;
  }

  Builder& b_;
  const Encoder& e_;
  ir::ValueId ids_, mask_, seen_;
  int integers_ = 0;
};

}  // namespace

Status build_bert(Builder& builder, const Config& config, const Sentences& sentences) {
  THIMBLE_ASSIGN(const Encoder encoder, read(config));
  EncoderBuilder b(builder, encoder);
  const ir::ValueId types = b.token_types();
  return b.build(b.plain_positions(), 0, types, sentences);
}

Status build_roberta(Builder& builder, const Config& config, const Sentences& sentences) {
  THIMBLE_ASSIGN(const Encoder encoder, read(config));
  THIMBLE_ASSIGN(const std::int64_t pad, config.integer_or("pad_token_id", 1, 0, kMostWidth));
  EncoderBuilder b(builder, encoder);
  return b.build(b.counted_positions(pad), pad + 1, {}, sentences);
}

}  // namespace thimble::formats

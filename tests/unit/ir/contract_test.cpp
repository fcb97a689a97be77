// The graphs that builders of language models emit, in small: every pattern must infer and verify.

#include "ir/match.h"
#include "ir/model.h"
#include "unit/catch.h"
#include "unit/ir/parsed.h"

using namespace thimble::ir;

namespace {

Model verified(const char* text) {
  Model model = thimble::test::inferred(text);
  if (const thimble::Status status = verify(model); !status) FAIL(status.error().to_string());
  return model;
}

std::string type_of(const Model& model, const char* name) {
  const Value& value = model.graph.value(*model.graph.find_value(name));
  return std::string(dtype_name(value.dtype)) + to_string(*value.shape);
}

}  // namespace

TEST_CASE("a decoder: norms, rope, a cache, tied head, soft cap, long rope and a window") {
  const Model model = verified(R"(
model {max_context = 2048, task = "generate"}
state %past_key.0 <- %present_key.0
state %past_value.0 <- %present_value.0
weight @model.embed_tokens.weight: bf16[1000, 64]
weight @norm: bf16[64]
weight @q_norm: f32[16]
weight @q_proj: bf16[64, 64]
weight @kv_proj: bf16[64, 64]
weight @bias: f16[64]
weight @gate_up: bf16[256, 64]
weight @down: bf16[64, 128]
weight @split_kv: i64[2] = [32, 32]
weight @heads: i64[4] = [0, 0, 4, 16]
weight @flat: i64[3] = [0, 0, 64]
weight @last: i64[1] = [-1]
weight @long: f32[8]
weight @short: f32[8]
weight @limit: i64[] = [4095]
weight @cap: f32[] = [30.0]
graph main(%input_ids: i64[batch, seq], %position_ids: i64[batch, seq], %logit_positions: i64[n_logits], %past_key.0: f32[batch, 2, past, 16], %past_value.0: f32[batch, 2, past, 16]) {
  %h = Gather(@model.embed_tokens.weight, %input_ids)
  %n = RMSNormalization(%h, @norm) {axis = -1, epsilon = 1e-05}
  %qt = Transpose(@q_proj) {perm = [1, 0]}
  %q0 = MatMul(%n, %qt)
  %q1 = Add(%q0, @bias)
  %q2 = Reshape(%q1, @heads)
  %q3 = RMSNormalization(%q2, @q_norm) {axis = -1}
  %q = Reshape(%q3, @flat)
  %kvt = Transpose(@kv_proj) {perm = [1, 0]}
  %kv = MatMul(%n, %kvt)
  %k, %v = Split(%kv, @split_kv) {axis = -1}
  %furthest = ReduceMax(%position_ids) {keepdims = 0}
  %is_long = Greater(%furthest, @limit)
  %frequencies = Where(%is_long, @long, @short)
  %p0 = Cast(%position_ids) {to = 1}
  %p1 = Unsqueeze(%p0, @last)
  %angles = Mul(%p1, %frequencies)
  %cos = Cos(%angles)
  %sin = Sin(%angles)
  %qr = RotaryEmbedding(%q, %cos, %sin) {interleaved = 0, num_heads = 4, rotary_embedding_dim = 0}
  %kr = RotaryEmbedding(%k, %cos, %sin) {interleaved = 0, num_heads = 2, rotary_embedding_dim = 0}
  %a, %present_key.0, %present_value.0 = thimble::Attention(%qr, %kr, %v, _, %past_key.0, %past_value.0) {is_causal = 1, kv_num_heads = 2, q_num_heads = 4, scale = 0.25, softcap = 50.0, window = 512}
  %r = Add(%h, %a)
  %gt = Transpose(@gate_up) {perm = [1, 0]}
  %gu = MatMul(%r, %gt)
  %gate, %up = Split(%gu) {axis = -1, num_outputs = 2}
  %act = Swish(%gate) {alpha = 1.0}
  %m = Mul(%act, %up)
  %dt = Transpose(@down) {perm = [1, 0]}
  %d = MatMul(%m, %dt)
  %o = Add(%r, %d)
  %tail = Gather(%o, %logit_positions) {axis = 1}
  %et = Transpose(@model.embed_tokens.weight) {perm = [1, 0]}
  %l0 = MatMul(%tail, %et)
  %l1 = Div(%l0, @cap)
  %l2 = Tanh(%l1)
  %logits = Mul(%l2, @cap)
  return %logits, %present_key.0, %present_value.0
})");
  CHECK(type_of(model, "logits") == "f32[batch, n_logits, 1000]");
  CHECK(type_of(model, "present_key.0") == "f32[batch, 2, past + seq, 16]");
  CHECK(type_of(model, "cos") == "f32[batch, seq, 8]");
  CHECK(type_of(model, "up") == "f32[batch, seq, 128]");
  CHECK(quantizable_weights(model).size() == 5);
}

TEST_CASE("an encoder: computed positions, a mask, pooling and normalising") {
  const Model model = verified(R"(
weight @words: f32[1000, 64]
weight @places: f32[512, 64]
weight @kinds: f32[2, 64]
weight @scale: f32[64]
weight @shift: f32[64]
weight @zero: i64[] = [0]
weight @one: i64[] = [1]
weight @pad: i64[] = [1]
weight @axis: i64[] = [1]
weight @axes: i64[2] = [1, 2]
weight @seq_axis: i64[1] = [1]
weight @last: i64[1] = [-1]
weight @tiny: f32[] = [1e-12]
graph main(%input_ids: i64[batch, seq], %attention_mask: i64[batch, seq], %token_type_ids: i64[batch, seq]) {
  %w = Gather(@words, %input_ids)
  %shape = Shape(%input_ids) {end = 2, start = 1}
  %length = Squeeze(%shape)
  %range = Range(@zero, %length, @one)
  %p = Gather(@places, %range)
  %t = Gather(@kinds, %token_type_ids)
  %e0 = Add(%w, %p)
  %e1 = Add(%e0, %t)
  %h = LayerNormalization(%e1, @scale, @shift) {axis = -1, epsilon = 1e-12}
  %is_pad = Equal(%input_ids, @pad)
  %not_pad = Not(%is_pad)
  %ones = Cast(%not_pad) {to = 7}
  %count = CumSum(%ones, @axis)
  %counted = Mul(%count, %ones)
  %roberta = Add(%counted, @pad)
  %rp = Gather(@places, %roberta)
  %m0 = Unsqueeze(%attention_mask, @axes)
  %mask = Cast(%m0) {to = 9}
  %a = Attention(%h, %h, %rp, %mask) {kv_num_heads = 4, q_num_heads = 4}
  %last_hidden_state = Gelu(%a) {approximate = "none"}
  %f0 = Cast(%attention_mask) {to = 1}
  %f = Unsqueeze(%f0, @last)
  %s0 = Mul(%last_hidden_state, %f)
  %s1 = ReduceSum(%s0, @seq_axis) {keepdims = 0}
  %c = ReduceSum(%f, @seq_axis) {keepdims = 0}
  %mean = Div(%s1, %c)
  %norm = ReduceL2(%mean, @last) {keepdims = 1}
  %clipped = Max(%norm, @tiny)
  %sentence_embedding = Div(%mean, %clipped)
  return %last_hidden_state, %sentence_embedding
})");
  CHECK(type_of(model, "p") == "f32[seq, 64]");
  CHECK(type_of(model, "mask") == "bool[batch, 1, 1, seq]");
  CHECK(type_of(model, "rp") == "f32[batch, seq, 64]");
  CHECK(type_of(model, "last_hidden_state") == "f32[batch, seq, 64]");
  CHECK(type_of(model, "sentence_embedding") == "f32[batch, 64]");
}

#include "ir/model.h"
#include "ir/ops/schema.h"
#include "unit/catch.h"

using namespace thimble::ir;

namespace {

// Parses a graph's body over given inputs and weights, infers, and prints the type of the value
// `y`.
std::string type_of(const std::string& weights, const std::string& inputs,
                    const std::string& body) {
  auto model = parse(weights + "\ngraph main(" + inputs + ") {\n" + body + "\n  return %y\n}");
  INFO(body);
  if (!model.has_value()) return model.error().to_string();
  if (const thimble::Status status = infer_shapes(*model); !status)
    return "error: " + status.error().message;
  if (const thimble::Status status = verify(*model); !status)
    return "verify: " + status.error().message;
  const Value& y = model->graph.value(*model->graph.find_value("y"));
  return std::string(dtype_name(y.dtype)) + (y.shape ? to_string(*y.shape) : "");
}

std::string type_of(const std::string& inputs, const std::string& body) {
  return type_of("", inputs, body);
}

}  // namespace

TEST_CASE("elementwise operators broadcast") {
  CHECK(type_of("%a: f32[batch, seq, 4], %b: f32[4]", "%y = Add(%a, %b)") == "f32[batch, seq, 4]");
  CHECK(type_of("%a: f32[n, 1], %b: f32[1, m]", "%y = Mul(%a, %b)") == "f32[n, m]");
  CHECK(type_of("%a: f32[n], %b: f32[3]", "%y = Mul(%a, %b)") == "f32[3]");
  CHECK(type_of("%a: f32[n], %b: f32[m]", "%y = Mul(%a, %b)") == "f32[max(m, n)]");
  CHECK(type_of("%a: f32[2], %b: f32[3]", "%y = Mul(%a, %b)").find("do not broadcast") !=
        std::string::npos);
  CHECK(type_of("%a: f32[2], %b: i64[2]", "%y = Mul(%a, %b)").find("do not mix") !=
        std::string::npos);
  CHECK(type_of("%a: i64[n], %b: i64[n]", "%y = LessOrEqual(%a, %b)") == "bool[n]");
  CHECK(type_of("%c: bool[n, 1], %a: f32[3], %b: f32[]", "%y = Where(%c, %a, %b)") == "f32[n, 3]");
  CHECK(type_of("%a: i64[n]", "%y = Cast(%a) {to = 1}") == "f32[n]");
  CHECK(type_of("%a: f32[n]", "%y = Gelu(%a) {approximate = \"tanh\"}") == "f32[n]");
  CHECK(type_of("%a: f32[n, 2], %b: f32[2], %c: f32[1]", "%y = Max(%a, %b, %c)") == "f32[n, 2]");
}

TEST_CASE("linear layers and fused projections") {
  CHECK(type_of("weight @w: bf16[12, 4]", "%x: f32[batch, seq, 4]",
                "%t = Transpose(@w) {perm = [1, 0]}\n%y = MatMul(%x, %t)") ==
        "f32[batch, seq, 12]");
  CHECK(type_of("weight @w: f32[4, 12]\nweight @s: i64[3] = [8, 2, 2]", "%x: f32[batch, seq, 4]",
                "%p = MatMul(%x, @w)\n%q, %y, %v = Split(%p, @s) {axis = -1}") ==
        "f32[batch, seq, 2]");
  CHECK(type_of("weight @w: f32[4, 12]", "%x: f32[b, 5]", "%y = MatMul(%x, @w)")
            .find("inner sizes") != std::string::npos);
  CHECK(type_of("weight @w: f32[12, 4]\nweight @b: f32[12]", "%x: f32[b, 4]",
                "%y = Gemm(%x, @w, @b) {transB = 1}") == "f32[b, 12]");
  CHECK(type_of("%a: f32[b, 8, s, 64], %c: f32[b, 8, 64, t]", "%y = MatMul(%a, %c)") ==
        "f32[b, 8, s, t]");
  CHECK(type_of("%a: f32[3], %c: f32[3, 2]", "%y = MatMul(%a, %c)") == "f32[2]");
  CHECK(type_of("%x: f32[b, 7]", "%y, %z, %r = Split(%x) {axis = 1, num_outputs = 3}") ==
        "f32[b, 3]");
}

TEST_CASE("reshapes with symbols") {
  const std::string shape = "weight @s: i64[4] = [0, 0, 9, 64]";
  CHECK(type_of(shape, "%x: f32[batch, seq, 576]", "%y = Reshape(%x, @s)") ==
        "f32[batch, seq, 9, 64]");
  CHECK(type_of("weight @s: i64[3] = [0, 0, -1]", "%x: f32[batch, seq, 9, 64]",
                "%y = Reshape(%x, @s)") == "f32[batch, seq, 576]");
  CHECK(type_of("weight @s: i64[2] = [-1, 576]", "%x: f32[batch, seq, 576]",
                "%y = Reshape(%x, @s)") == "f32[batch*seq, 576]");
  CHECK(type_of("weight @s: i64[2] = [5, -1]", "%x: f32[2, 3]", "%y = Reshape(%x, @s)")
            .find("do not divide") != std::string::npos);
  CHECK(type_of("weight @s: i64[1] = [5]", "%x: f32[2, 3]", "%y = Reshape(%x, @s)")
            .find("cannot reshape") != std::string::npos);
  // What is known only as the model runs has a type all the same.
  CHECK(type_of("%x: f32[2, n], %s: i64[1]", "%y = Reshape(%x, %s)") == "f32");
}

TEST_CASE("sizes are followed from Shape to Reshape") {
  const std::string weights = R"(weight @zero: i64[1] = [0]
weight @one: i64[] = [1]
weight @tail: i64[2] = [-1, 64])";
  CHECK(type_of(weights, "%x: f32[batch, past + seq, 576]", R"(%s = Shape(%x)
%b = Gather(%s, @zero)
%n = Gather(%s, @one)
%m = Unsqueeze(%n, @zero)
%shape = Concat(%b, %m, @tail) {axis = 0}
%y = Reshape(%x, %shape))") == "f32[batch, past + seq, 9, 64]");
  // Range over the sequence, as BERT's positions.
  CHECK(type_of("weight @z: i64[] = [0]\nweight @o: i64[] = [1]\nweight @none: i64[0] = []",
                "%x: i64[batch, seq]",
                "%s = Shape(%x) {end = 2, start = 1}\n%n = Squeeze(%s)\n%y = Range(@z, %n, @o)") ==
        "i64[seq]");
  CHECK(type_of("weight @z: i64[] = [0]\nweight @o: i64[] = [1]", "%x: i64[batch, seq]",
                "%s = Shape(%x) {end = 2, start = 1}\n%n = Reshape(%s, @e)\n%y = Range(@z, %n, @o)")
            .find("no weight") != std::string::npos);
  // Expand as exporters write it: Where(Equal(shape, -1), 1, shape).
  CHECK(type_of("weight @minus: i64[1] = [-1]\nweight @ones: i64[2] = [1, 1]\nweight @k: i64[2] = "
                "[-1, 3]",
                "%x: f32[n, 1]",
                "%e = Equal(@k, @minus)\n%w = Where(%e, @ones, @k)\n%y = Expand(%x, %w)") ==
        "f32[n, 3]");
  CHECK(type_of("weight @two: i64[1] = [2]", "%x: f32[n, 6]",
                "%s = Shape(%x)\n%h = Div(%s, @two)\n%c = ConstantOfShape(%h)\n%y = Neg(%c)") ==
        "f32[floor(n / 2), 3]");
}

TEST_CASE("slices clamp, count backwards and step") {
  const auto slice = [](const std::string& size, int start, const std::string& end, int step) {
    return type_of("weight @s: i64[1] = [" + std::to_string(start) + "]\nweight @e: i64[1] = [" +
                       end + "]\nweight @a: i64[1] = [0]\nweight @t: i64[1] = [" +
                       std::to_string(step) + "]",
                   "%x: f32[" + size + "]", "%y = Slice(%x, @s, @e, @a, @t)");
  };
  CHECK(slice("10", 2, "5", 1) == "f32[3]");
  CHECK(slice("10", -3, "100", 1) == "f32[3]");
  CHECK(slice("10", 0, "10", 3) == "f32[4]");
  CHECK(slice("10", 9, "-20", -2) == "f32[5]");
  CHECK(slice("10", 5, "2", 1) == "f32[0]");
  CHECK(slice("n", 1, "9223372036854775807", 1) == "f32[max(1, n) - 1]");
  CHECK(slice("n", 0, "-1", 1) == "f32[max(0, n - 1)]");
}

TEST_CASE("layout operators") {
  CHECK(type_of("%x: f32[a, b, c]", "%y = Transpose(%x)") == "f32[c, b, a]");
  CHECK(type_of("%x: f32[a, b, c]", "%y = Transpose(%x) {perm = [0, 2, 1]}") == "f32[a, c, b]");
  CHECK(type_of("%x: f32[a, b]", "%y = Transpose(%x) {perm = [0, 0]}").find("twice") !=
        std::string::npos);
  CHECK(type_of("weight @a: i64[2] = [0, -1]", "%x: f32[n]", "%y = Unsqueeze(%x, @a)") ==
        "f32[1, n, 1]");
  CHECK(type_of("%x: f32[1, n, 1]", "%y = Squeeze(%x)") == "f32[n]");
  CHECK(type_of("%x: f32[a, b, 3]", "%y = Flatten(%x)") == "f32[a, 3*b]");
  CHECK(type_of("%x: f32[a, 2], %z: f32[b, 2]", "%y = Concat(%x, %z) {axis = 0}") ==
        "f32[a + b, 2]");
  CHECK(type_of("weight @w: f32[100, 8]", "%x: i64[b, s]", "%y = Gather(@w, %x)") ==
        "f32[b, s, 8]");
  CHECK(type_of("%h: f32[b, s, 8], %p: i64[n_logits]", "%y = Gather(%h, %p) {axis = 1}") ==
        "f32[b, n_logits, 8]");
}

TEST_CASE("reductions and normalisations") {
  CHECK(type_of("weight @a: i64[1] = [1]", "%x: f32[b, s, 8]",
                "%y = ReduceSum(%x, @a) {keepdims = 0}") == "f32[b, 8]");
  CHECK(type_of("%x: i64[b, s]", "%y = ReduceMax(%x) {keepdims = 0}") == "i64[]");
  CHECK(type_of("weight @s: f32[8]", "%x: f32[b, s, 8]",
                "%y = RMSNormalization(%x, @s) {epsilon = 1e-05}") == "f32[b, s, 8]");
  CHECK(type_of("weight @s: f32[9]", "%x: f32[b, s, 8]", "%y = RMSNormalization(%x, @s)")
            .find("error") == 0);
  CHECK(type_of("weight @a: i64[] = [1]", "%x: i64[b, s]", "%y = CumSum(%x, @a)") == "i64[b, s]");
  CHECK(type_of("%x: f32[b, s]", "%y = Softmax(%x) {axis = 2}").find("axis 2") !=
        std::string::npos);
}

TEST_CASE("attention with a cache, in both domains") {
  const std::string inputs =
      "%q: f32[batch, seq, 576], %k: f32[batch, seq, 192], %v: f32[batch, seq, 192], "
      "%pk: f32[batch, 3, past, 64], %pv: f32[batch, 3, past, 64]";
  const std::string heads = " {is_causal = 1, kv_num_heads = 3, q_num_heads = 9, scale = 0.125";
  CHECK(type_of(inputs, "%y, %nk, %nv = Attention(%q, %k, %v, _, %pk, %pv)" + heads + "}") ==
        "f32[batch, seq, 576]");
  CHECK(type_of(inputs, "%o, %y, %nv = thimble::Attention(%q, %k, %v, _, %pk, %pv)" + heads +
                            ", window = 512}") == "f32[batch, 3, past + seq, 64]");
  CHECK(type_of(inputs, "%y = thimble::Attention(%q, %k, %v)" + heads + "}").find("verify: ") == 0);
  CHECK(type_of(inputs, "%y = Attention(%q, %k, %v) {kv_num_heads = 3, q_num_heads = 10}")
            .find("error") == 0);
  CHECK(type_of("%q: f32[b, 8, s, 64], %k: f32[b, 2, t, 64], %v: f32[b, 2, t, 32]",
                "%y = Attention(%q, %k, %v)") == "f32[b, 8, s, 32]");
  CHECK(type_of("%x: f32[b, s, 576], %c: f32[b, s, 32], %d: f32[b, s, 32]",
                "%y = RotaryEmbedding(%x, %c, %d) {interleaved = 0, num_heads = 9, "
                "rotary_embedding_dim = 0}") == "f32[b, s, 576]");
  CHECK(type_of("%x: f32[b, s, 576], %c: f32[b, s, 31], %d: f32[b, s, 32]",
                "%y = RotaryEmbedding(%x, %c, %d) {num_heads = 9}")
            .find("error") == 0);
}

TEST_CASE("errors name the node") {
  auto model = parse("graph main(%x: f32[n]) {\n  %y = Frob(%x)  // layer.7\n  return %y\n}");
  REQUIRE(model.has_value());
  const thimble::Status status = infer_shapes(*model);
  REQUIRE_FALSE(status.has_value());
  CHECK(status.error().notes == std::vector<std::string>{"node 'layer.7' (Frob)"});
  CHECK(status.error().code == thimble::ErrorCode::kUnsupported);
}

TEST_CASE("the operator table is complete and has no doubles") {
  for (const OpSchema& schema : operators()) {
    INFO(schema.name);
    CHECK(find_operator(schema.domain, schema.name) == &schema);
  }
  CHECK(find_operator("", "Frob") == nullptr);
}

TEST_CASE("windows slide over images of known and unknown sizes") {
  CHECK(type_of("%x: f32[n, 3, h, 32], %w: f32[8, 3, 3, 3]",
                "%y = Conv(%x, %w) {pads = [1, 1, 1, 1], strides = [2, 2]}") ==
        "f32[n, 8, floor((h + 1) / 2), 16]");
  CHECK(type_of("%x: f32[1, 4, 9], %w: f32[6, 2, 3]",
                "%y = Conv(%x, %w) {dilations = [2], group = 2}") == "f32[1, 6, 5]");
  CHECK(type_of("%x: f32[1, 3, 7, 8], %w: f32[4, 3, 3, 3]",
                "%y = Conv(%x, %w) {auto_pad = \"SAME_UPPER\", strides = [2, 2]}") ==
        "f32[1, 4, 4, 4]");
  CHECK(type_of("%x: f32[1, 3, 2, 2], %w: f32[4, 3, 3, 3]", "%y = Conv(%x, %w)")
            .find("larger than the padded image") != std::string::npos);
  CHECK(type_of("%x: f32[1, 3, 9, 9], %w: f32[4, 2, 3, 3]", "%y = Conv(%x, %w)")
            .find("does not fit a weight") != std::string::npos);
  CHECK(type_of("%x: f32[1, 3, 9, 9], %w: f32[4, 3, 3, 3]", "%y = Conv(%x, %w) {strides = [0, 1]}")
            .find("out of range") != std::string::npos);
  CHECK(type_of("%x: f32[1, 2, n], %w: f32[2, 5, 3]",
                "%y = ConvTranspose(%x, %w) {strides = [2], output_padding = [1]}") ==
        "f32[1, 5, 2*n + 2]");
  CHECK(type_of("%x: f32[1, 2, 10, w]",
                "%y = MaxPool(%x) {kernel_shape = [3, 2], strides = [2, 2]}") ==
        "f32[1, 2, 4, floor(w / 2)]");
  CHECK(type_of("%x: f32[1, 2, 10]",
                "%y = AveragePool(%x) {ceil_mode = 1, kernel_shape = [3], strides = [2]}") ==
        "f32[1, 2, 5]");
  CHECK(type_of("%x: f32[1, 2, n]",
                "%y = AveragePool(%x) {ceil_mode = 1, kernel_shape = [3], strides = [2]}") ==
        "f32");
  CHECK(type_of("%x: f32[n, 2, h, w]", "%y = GlobalAveragePool(%x)") == "f32[n, 2, 1, 1]");
}

TEST_CASE("images are resized, padded and rearranged; recurrent networks keep their state") {
  CHECK(type_of("%x: f32[n, 8, h, w]", "%y = DepthToSpace(%x) {blocksize = 2}") ==
        "f32[n, 2, 2*h, 2*w]");
  CHECK(type_of("%x: f32[n, 2, 4, 6]", "%y = SpaceToDepth(%x) {blocksize = 2}") ==
        "f32[n, 8, 2, 3]");
  CHECK(type_of("%x: f32[n, 5], %z: f32[n, 2]",
                "%s = Shape(%z)\n%p = Concat(%s, %s) {axis = 0}\n%y = Pad(%x, %p)") ==
        "f32[3*n, 9]");
  CHECK(type_of("%x: f32[steps, n, 3], %w: f32[2, 16, 3], %r: f32[2, 16, 4]",
                "%y = LSTM(%x, %w, %r) {direction = \"bidirectional\", hidden_size = 4}") ==
        "f32[steps, 2, n, 4]");
  CHECK(type_of("%x: f32[n, steps, 3], %w: f32[1, 12, 3], %r: f32[1, 12, 4]",
                "%a, %y = GRU(%x, %w, %r) {hidden_size = 4, layout = 1}") == "f32[n, 1, 4]");
  CHECK(type_of("%x: f32[n, 3, h, w], %g: f32[n, 4, 5, 2]", "%y = GridSample(%x, %g)") ==
        "f32[n, 3, 4, 5]");
  CHECK(type_of("%x: f32[n, 3, h, w], %b: f32[m, 4], %i: i64[m]",
                "%y = RoiAlign(%x, %b, %i) {output_height = 7, output_width = 5}") ==
        "f32[m, 3, 7, 5]");
}

TEST_CASE("quantization, choices along an axis, sums over named axes") {
  CHECK(type_of("%x: f32[n, 8], %s: f32[], %z: i8[]", "%y = QuantizeLinear(%x, %s, %z)") ==
        "i8[n, 8]");
  CHECK(type_of("%x: f32[n], %s: f32[]", "%y = QuantizeLinear(%x, %s) {output_dtype = 22}") ==
        "i4[n]");
  CHECK(type_of("%x: f32[n], %s: f32[]", "%y = QuantizeLinear(%x, %s)") == "u8[n]");
  CHECK(type_of("%x: u4[n], %s: f32[]", "%y = DequantizeLinear(%x, %s)") == "f32[n]");
  CHECK(type_of("%x: f32[n]", "%q, %y, %z = DynamicQuantizeLinear(%x)") == "f32[]");
  CHECK(type_of("%a: u8[n, 4], %b: i8[4, 5]", "%y = MatMulInteger(%a, %b)") == "i32[n, 5]");
  CHECK(type_of("%x: f32[n, 8]", "%y = ArgMax(%x) {axis = -1, keepdims = 0}") == "i64[n]");
  CHECK(type_of("weight @k: i64[1] = [3]", "%x: f32[n, 8]", "%v, %y = TopK(%x, @k)") ==
        "i64[n, 3]");
  CHECK(type_of("%x: f32[n, 8], %k: i64[1]", "%y, %i = TopK(%x, %k)") == "f32");
  CHECK(type_of("%a: f32[b, i, 4], %b: f32[b, 4, j]",
                "%y = Einsum(%a, %b) {equation = \"bik,bkj->bij\"}") == "f32[b, i, j]");
  CHECK(type_of("%a: f32[b, h, i, 4], %b: f32[h, j, 4]",
                "%y = Einsum(%a, %b) {equation = \"...id, ...jd -> ...ji\"}") == "f32[b, h, j, i]");
  CHECK(type_of("%a: f32[i, j]", "%y = Einsum(%a) {equation = \"ba\"}") == "f32[j, i]");
  CHECK(type_of("%a: f32[2, 3], %b: f32[4, 5]", "%y = Einsum(%a, %b) {equation = \"ij,jk\"}")
            .find("sizes of j differ") != std::string::npos);
  CHECK(type_of("%x: f32[n, 3, 3]", "%y = Det(%x)") == "f32[n]");
  CHECK(type_of("%x: f32[n], %t: f16[]", "%y = CastLike(%x, %t)") == "f16[n]");
  CHECK(type_of("%x: f32[n]", "%y = BitCast(%x) {to = 6}") == "i32[n]");
  CHECK(type_of("%x: f32[n]", "%y = BitCast(%x) {to = 7}").find("as many bits") !=
        std::string::npos);
  CHECK(type_of("%x: f32[n]", "%y = IsInf(%x)") == "bool[n]");
}

TEST_CASE("sizes multiplied and summed by reductions") {
  CHECK(type_of("weight @zero: i64[1] = [0]", "%x: f32[n, 4, m]",
                "%s = Shape(%x)\n%p = ReduceProd(%s, @zero) {keepdims = 1}\n"
                "%y = Reshape(%x, %p)") == "f32[4*m*n]");
}

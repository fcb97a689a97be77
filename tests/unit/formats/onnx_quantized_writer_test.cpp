// Quantized weights written as ONNX read back as the codes and scales that they were, and compute
// the same.

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>

#include "formats/all.h"
#include "formats/onnx/reader.h"
#include "lower/lower.h"
#include "runtime/session.h"
#include "support/half.h"
#include "unit/catch.h"
#include "unit/ir/parsed.h"
#include "unit/support/scratch_folder.h"

namespace thimble {
namespace {

class Numbers {  // seeded
 public:
  std::uint32_t below(std::uint32_t limit) {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<std::uint32_t>(state_ >> 33) % limit;
  }
  float real() { return static_cast<float>(below(2001)) / 1000.0f - 1.0f; }

 private:
  std::uint64_t state_ = 7;
};

float in_scale_type(float value, ir::DType type) {
  if (type == ir::DType::kBF16) return bfloat_to_float(float_to_bfloat(value));
  return type == ir::DType::kF16 ? half_to_float(float_to_half(value)) : value;
}

void fill(ir::Weight& w, Numbers& numbers) {
  if (w.source != nullptr) return;
  const auto rows = static_cast<std::size_t>(w.rows()),
             inputs = static_cast<std::size_t>(w.inputs());
  if (w.encoding.is_dense()) {
    std::vector<float> values(rows * inputs);
    for (float& value : values) value = numbers.real();
    w.source = ir::make_dense(w.name, w.dims, values).source;
    return;
  }
  const auto groups = static_cast<std::size_t>(w.encoding.groups(w.inputs()));
  ir::Rows out;
  const auto limit = 1u << w.encoding.bits;
  for (std::size_t i = 0; i < rows * inputs; ++i)
    out.codes.push_back(static_cast<std::uint8_t>(numbers.below(limit)));
  const bool super = w.encoding.kind == ir::EncodingKind::kSuperBlock;
  const auto supers = static_cast<std::size_t>(w.encoding.supers(w.inputs()));
  for (std::size_t i = 0; super && i < rows * groups; ++i) {
    out.sub_scales.push_back(static_cast<std::uint8_t>(numbers.below(1u << w.encoding.sub_bits)));
    if (w.encoding.zero == ir::ZeroKind::kMinima)
      out.sub_minima.push_back(static_cast<std::uint8_t>(numbers.below(1u << w.encoding.sub_bits)));
  }
  const std::size_t count = w.encoding.per_tensor ? 1 : rows * (super ? supers : groups);
  for (std::size_t i = 0; i < count; ++i) {
    out.scales.push_back(in_scale_type(numbers.real() * 0.01f, w.encoding.scale_type));
    if (w.encoding.zero == ir::ZeroKind::kPoints)
      out.zero_points.push_back(static_cast<std::uint8_t>(numbers.below(limit)));
    if (w.encoding.zero == ir::ZeroKind::kMinima)
      out.minima.push_back(in_scale_type(numbers.real() * 0.1f, w.encoding.scale_type));
  }
  w.source = ir::owned_rows(w, std::move(out));
}

ir::Model model_of(const std::string& text) {
  ir::Model model = test::parsed(text);
  Numbers numbers;
  for (ir::Weight& weight : model.weights) fill(weight, numbers);
  return model;
}

struct File {
  ScratchFolder folder;
  std::string path = folder.path("m.onnx");
};

void write(const ir::Model& model, const std::string& path, const formats::Target& target,
           int threads = 1) {
  ThreadPool pool(threads);
  Progress quiet(Progress::Style::kQuiet);
  const Status written = formats::write_model(model, path, target, pool, quiet);
  if (!written) FAIL(written.error().to_string());
}

ir::Model through_file(const ir::Model& model, const formats::Target& target = {"onnx", ""}) {
  const File file;
  write(model, file.path, target);
  auto read = formats::read_model(file.path, {});
  if (!read) FAIL(read.error().to_string());
  return std::move(*read);
}

// The nodes that the file has.
ir::Model as_in_file(const ir::Model& model) {
  const File file;
  write(model, file.path, {"onnx", ""});
  auto read = formats::onnx::read_as_written(file.path);
  if (!read) FAIL(read.error().to_string());
  if (const Status inferred = ir::infer_shapes(*read); !inferred)
    FAIL(inferred.error().to_string());
  return std::move(*read);
}

const ir::Weight& named(const ir::Model& model, const std::string& name) {
  for (const ir::Weight& weight : model.weights) {
    if (weight.name == name && weight.source != nullptr && !weight.encoding.is_dense())
      return weight;
  }
  FAIL("no encoded weight '" + name + "'");
  return model.weights.front();
}

// Runs the graph on seeded numbers (small whole ones for indices); sizes left open are 3.
std::vector<float> run(const ir::Model& model) {
  ThreadPool pool(1);
  const auto bundle = lower::load(model, pool);
  if (!bundle) FAIL(bundle.error().to_string());
  runtime::SessionOptions options;
  auto session = runtime::Session::create(*bundle, pool, options);
  if (!session) FAIL(session.error().to_string());
  Numbers numbers;
  std::vector<std::vector<std::byte>> held;
  std::vector<std::vector<std::int64_t>> dims;
  std::vector<runtime::TensorView> views;
  for (const ir::ValueId id : model.graph.inputs()) {
    const ir::Value& value = model.graph.value(id);
    dims.emplace_back();
    std::int64_t count = 1;
    for (const ir::Dim& dim : *value.shape) {
      dims.back().push_back(dim.constant().value_or(3));
      count *= dims.back().back();
    }
    const bool index = value.dtype == ir::DType::kI64;
    held.emplace_back(static_cast<std::size_t>(count) * (index ? 8 : 4));
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t whole = numbers.below(5);
      const float real = numbers.real();
      std::memcpy(held.back().data() + i * (index ? 8 : 4),
                  index ? static_cast<const void*>(&whole) : &real, index ? 8 : 4);
    }
  }
  for (std::size_t i = 0; i < held.size(); ++i) {
    const ir::Value& value = model.graph.value(model.graph.inputs()[i]);
    views.push_back({static_cast<program::Type>(value.dtype), dims[i], held[i].data()});
  }
  const Status status = (*session)->run(views);
  if (!status) FAIL(status.error().to_string());
  const runtime::TensorView& y = (*session)->outputs()[0];
  std::vector<float> out(static_cast<std::size_t>(y.count()));
  std::memcpy(out.data(), y.data, out.size() * 4);
  return out;
}

double sqnr(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  double signal = 0, noise = 1e-300;
  for (std::size_t i = 0; i < a.size(); ++i) {
    signal += static_cast<double>(a[i]) * a[i];
    noise += (static_cast<double>(a[i]) - b[i]) * (static_cast<double>(a[i]) - b[i]);
  }
  return 10 * std::log10(signal / noise);
}

std::string product(const std::string& encoding, const std::string& inputs = "64",
                    const std::string& activation = "") {
  return "model {format = \"onnx\"}\nweight @w: f32[24, " + inputs + "] as " + encoding +
         " parameters 1536\ngraph main(%x: f32[batch, " + inputs + "]" + activation +
         ") {\n  %t: f32[" + inputs +
         ", 24] = Transpose(@w) {perm = [1, 0]}\n  %y: f32[batch, 24] = MatMul(%x, %t)\n"
         "  return %y\n}\n";
}

// The numbers that the weights stand for.
ir::Model as_floats(ir::Model model) {
  for (ir::Weight& weight : model.weights) {
    const auto numbers = ir::read_floats(weight);
    if (!numbers) FAIL(numbers.error().to_string());
    weight = ir::make_dense(weight.name, weight.dims, *numbers);
  }
  return model;
}

bool has_node(const ir::Model& model, std::string_view op) {
  for (const ir::NodeId id : model.graph.order()) {
    if (model.graph.node(id).op == op) return true;
  }
  return false;
}

}  // namespace

TEST_CASE("codes and scales of blocks come back as they were", "[onnx]") {
  for (const char* encoding :
       {"int4 group 32 symmetric f16", "int4 group 32 symmetric f32", "uint4 group 32 points f16",
        "int8 group 16 symmetric f16", "uint8 group 64 points f32", "int2 group 32 symmetric f16",
        "uint2 group 64 points bf16"}) {
    INFO(encoding);
    const ir::Model model = model_of(product(encoding));
    const ir::Model back = through_file(model);
    const ir::Weight &a = named(model, "w"), &b = named(back, "w");
    CHECK(b.encoding.to_string() == encoding);
    const auto rows_a = a.source->read(0, a.rows()), rows_b = b.source->read(0, b.rows());
    REQUIRE(rows_a);
    REQUIRE(rows_b);
    CHECK(rows_a->codes == rows_b->codes);
    CHECK(rows_a->scales == rows_b->scales);
    CHECK(rows_a->zero_points == rows_b->zero_points);
  }
}

TEST_CASE("other grids are written in wider codes, or in smaller blocks, of the same numbers",
          "[onnx]") {
  struct Case {
    const char *encoding, *inputs, *written;
  };
  for (const Case& c : {Case{"int3 group 32 symmetric f16", "64", "int4 group 32 symmetric f16"},
                        Case{"uint6 group 32 points f16", "64", "uint8 group 32 points f16"},
                        Case{"int4 group 48 symmetric f16", "96", "int4 group 16 symmetric f16"},
                        Case{"int4 per-channel symmetric f16", "64", "int4 group 64 symmetric f16"},
                        Case{"int4 per-tensor symmetric f16", "64", "int4 group 64 symmetric f16"},
                        Case{"int4 group 32 symmetric f16", "72", "int4 group 32 symmetric f16"},
                        Case{"int4 group 32 zero 3 f32", "64", "uint4 group 32 points f32"}}) {
    INFO(c.encoding);
    const ir::Model model = model_of(product(c.encoding, c.inputs));
    const ir::Model back = through_file(model);
    const ir::Weight &a = named(model, "w"), &b = named(back, "w");
    CHECK(b.encoding.to_string() == c.written);
    const auto numbers_a = ir::read_floats(a), numbers_b = ir::read_floats(b);
    REQUIRE(numbers_a);
    REQUIRE(numbers_b);
    CHECK(*numbers_a == *numbers_b);
  }
}

TEST_CASE("every form computes what the weight stands for", "[onnx]") {
  // Groups of 24 and minima have no MatMulNBits of their own.
  for (const char* encoding :
       {"int4 group 24 symmetric f16", "uint4 group 24 points f32", "uint4 group 32 minima f16",
        "uint8 group 16 minima f32", "uint4 per-channel minima f32",
        "uint4 group 32 super 96 minima f16 sub 6",
        "int6 group 16 super 96 symmetric f16 sub 8 sub-zero 128", "uint8 per-channel points f16",
        "int7 per-channel symmetric f32"}) {
    INFO(encoding);
    const ir::Model model = model_of(product(encoding, "96"));
    CHECK(sqnr(run(as_floats(model)), run(through_file(model))) > 110);
  }
}

TEST_CASE("a matrix along its first axis, an embedding, a convolution, an LSTM", "[onnx]") {
  const std::string head = "model {format = \"onnx\"}\n";
  for (const std::string& text :
       {head + "weight @w: f32[96, 24] as int4 group 32 symmetric f16 axis 0 parameters 2304\n"
               "graph main(%x: f32[batch, 96]) {\n  %y: f32[batch, 24] = MatMul(%x, @w)\n  return "
               "%y\n}\n",
        head + "weight @w: f32[96, 24] as uint4 group 24 points f16 axis 0 parameters 2304\n"
               "graph main(%x: f32[batch, 96]) {\n  %y: f32[batch, 24] = MatMul(%x, @w)\n  return "
               "%y\n}\n",
        head + "weight @w: f32[96, 24] as uint4 group 24 minima f16 axis 0 parameters 2304\n"
               "graph main(%x: f32[batch, 96]) {\n  %y: f32[batch, 24] = MatMul(%x, @w)\n  return "
               "%y\n}\n",
        head + "weight @w: f32[24, 96] as uint8 group 32 points f16 parameters 2304\n"
               "graph main(%i: i64[batch]) {\n  %y: f32[batch, 96] = Gather(@w, %i) {axis = 0}\n  "
               "return %y\n}\n",
        head + "weight @w: f32[24, 90] as int4 group 32 symmetric f16 parameters 2160\n"
               "graph main(%i: i64[batch]) {\n  %y: f32[batch, 90] = Gather(@w, %i) {axis = 0}\n  "
               "return %y\n}\n",
        head + "weight @w: f32[8, 3, 3, 3] as int8 per-channel symmetric f32 flat parameters 216\n"
               "weight @b: f32[8] parameters 8\n"
               "graph main(%x: f32[1, 3, 9, 9]) {\n  %y: f32[1, 8, 7, 7] = Conv(%x, @w, @b)\n  "
               "return %y\n}\n",
        head + "weight @w: f32[8, 4, 3, 3] as uint4 group 12 points f16 flat parameters 288\n"
               "graph main(%x: f32[1, 4, 9, 9]) {\n  %y: f32[1, 8, 7, 7] = Conv(%x, @w)\n  return "
               "%y\n}\n"}) {
    INFO(text);
    const ir::Model model = model_of(text);
    CHECK(sqnr(run(as_floats(model)), run(through_file(model))) > 110);
  }
}

TEST_CASE("a tied embedding's codes are written once", "[onnx]") {
  const ir::Model model = model_of(
      "model {format = \"onnx\"}\n"
      "weight @w: f32[96, 64] as int4 group 32 symmetric f16 parameters 6144\n"
      "graph main(%i: i64[batch]) {\n  %x: f32[batch, 64] = Gather(@w, %i) {axis = 0}\n"
      "  %t: f32[64, 96] = Transpose(@w) {perm = [1, 0]}\n  %y: f32[batch, 96] = MatMul(%x, %t)\n"
      "  return %y\n}\n");
  const ir::Model back = through_file(model);
  int encoded = 0;
  for (const ir::Weight& weight : back.weights) encoded += weight.encoding.is_dense() ? 0 : 1;
  CHECK(encoded == 1);
  CHECK(back.parameter_count() == 6144);  // no codes beside them that nobody reads
  CHECK(back.graph.order().size() == model.graph.order().size());
  CHECK(sqnr(run(model), run(back)) > 35);
}

TEST_CASE("a file is the same whatever number of threads wrote it", "[onnx]") {
  const std::string convolution =
      "model {format = \"onnx\"}\n"
      "weight @w: f32[7, 3, 3, 3] as int4 per-channel symmetric f32 flat parameters 189\n"
      "graph main(%x: f32[1, 3, 9, 9]) {\n  %y: f32[1, 7, 7, 7] = Conv(%x, @w)\n  return %y\n}\n";
  for (const std::string& text :
       {product("uint4 group 32 points f16"), product("uint4 group 24 minima f32", "96"),
        product("int8 per-channel symmetric f32"), convolution}) {
    INFO(text);
    const ir::Model model = model_of(text);
    const File file;
    std::set<std::string> written;
    for (const int threads : {1, 2, 5}) {
      write(model, file.path, {"onnx", ""}, threads);
      std::ifstream stream(file.path, std::ios::binary);
      written.emplace(std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>());
    }
    CHECK(written.size() == 1);
  }
}

TEST_CASE("weights lie in the file as long as what is written of them is small enough", "[onnx]") {
  const ir::Model model = model_of(product("int4 group 32 symmetric f16", "256"));
  const std::uint64_t bytes = formats::stored_bytes(model.weights[0], {"onnx", ""});
  const File file;
  write(model, file.path, {.format = "onnx", .type = "", .external_threshold = bytes});
  CHECK_FALSE(std::filesystem::exists(file.path + ".data"));
  write(model, file.path, {.format = "onnx", .type = "", .external_threshold = bytes - 1});
  CHECK(std::filesystem::exists(file.path + ".data"));
}

TEST_CASE("a product of blocks rounds what it reads as its model does, unless told", "[onnx]") {
  const auto scheme_after = [](ir::ActivationScheme scheme, std::optional<std::int64_t> level) {
    ir::Model model = model_of(product("int4 group 32 symmetric f16"));
    model.graph.value(model.graph.inputs()[0]).activation = scheme;
    formats::Target target{"onnx", ""};
    target.accuracy_level = level;
    const ir::Model back = through_file(model, target);
    return back.graph.value(back.graph.inputs()[0]).activation;
  };
  using ir::ActivationScheme;
  CHECK(scheme_after(ActivationScheme::kFloat, {}) == ActivationScheme::kFloat);
  CHECK(scheme_after(ActivationScheme::kInt16, {}) == ActivationScheme::kFloat);
  CHECK(scheme_after(ActivationScheme::kInt8, {}) == ActivationScheme::kInt8);
  CHECK(scheme_after(ActivationScheme::kFloat, 4) == ActivationScheme::kInt8);
  CHECK(scheme_after(ActivationScheme::kInt8, 1) == ActivationScheme::kFloat);
}

TEST_CASE("a convolution in floats is rounded and cut off before a sum of codes", "[onnx]") {
  const ir::Model model = model_of(
      "model {format = \"onnx\"}\n"
      "weight @w: f32[8, 8, 1, 1] as int8 per-tensor zero 123 f32 flat parameters 64\n"
      "graph main(%x: f32[1, 8, 5, 5] as int8(0.01, 0)) {\n"
      "  %c: f32[1, 8, 5, 5] as int8(0.01, -127) = Conv(%x, @w)\n"
      "  %y: f32[1, 8, 5, 5] as int8(0.02, -64) = Add(%c, %x)\n  return %y\n}\n");
  CHECK(sqnr(run(as_in_file(model)), run(model)) > 30);
}

TEST_CASE("int8 activations: measured on the way, or with a fixed scale", "[onnx]") {
  ir::Model dynamic = model_of(product("int8 per-channel symmetric f32"));
  dynamic.graph.value(dynamic.graph.inputs()[0]).activation = ir::ActivationScheme::kInt8;
  const ir::Model dynamic_back = through_file(dynamic);
  CHECK(has_node(dynamic_back, "MatMulInteger"));
  CHECK(sqnr(run(dynamic), run(dynamic_back)) > 35);

  ir::Model fixed = model_of(product("int8 per-channel symmetric f32"));
  ir::Value& x = fixed.graph.value(fixed.graph.inputs()[0]);
  x.activation = ir::ActivationScheme::kStatic;
  x.static_scale = {1.0f / 97, -20};
  const ir::Model fixed_back = as_in_file(fixed);
  CHECK(has_node(fixed_back, "QuantizeLinear"));
  CHECK(sqnr(run(fixed), run(fixed_back)) > 90);
  const ir::Model fixed_again = through_file(fixed);
  CHECK_FALSE(has_node(fixed_again, "QuantizeLinear"));
  CHECK(run(fixed) == run(fixed_again));
}

TEST_CASE("the bias of a fixed-scale convolution is in i32", "[onnx]") {
  ir::Model model = model_of(
      "model {format = \"onnx\"}\nweight @w: f32[8, 3, 3, 3] as int8 per-channel symmetric f32 "
      "flat "
      "parameters 216\nweight @b: f32[8] parameters 8\ngraph main(%x: f32[1, 3, 9, 9]) {\n"
      "  %y: f32[1, 8, 7, 7] = Conv(%x, @w, @b)\n  return %y\n}\n");
  ir::Value& x = model.graph.value(model.graph.inputs()[0]);
  x.activation = ir::ActivationScheme::kStatic;
  x.static_scale = {1.0f / 127, 0};
  const ir::Model back = as_in_file(model);
  int integers = 0;
  for (const ir::Weight& weight : back.weights) integers += weight.dtype == ir::DType::kI32 ? 1 : 0;
  CHECK(integers == 1);
  CHECK(sqnr(run(model), run(back)) > 50);
}

TEST_CASE("values with fixed scales are rounded once, for all that read them", "[onnx]") {
  const char* const kBlock = R"(model {format = "onnx"}
weight @w: f32[4, 4, 3, 3] as int8 per-channel symmetric f32 flat parameters 144
graph main(%x: f32[1, 4, 8, 8] as int8(0.01, 0)) {
  %a: f32[1, 4, 8, 8] = Conv(%x, @w) {pads = [1, 1, 1, 1]}
  %r: f32[1, 4, 8, 8] as int8(0.02, -127) = Relu(%a)
  %s: f32[1, 4, 8, 8] as int8(0.03, -40) = Sum(%r, %x)
  %p: f32[1, 4, 4, 4] as int8(0.03, -40) = MaxPool(%s) {kernel_shape = [2, 2], strides = [2, 2]}
  %j: f32[1, 8, 4, 4] as int8(0.03, -40) = Concat(%p, %p) {axis = 1}
  %g: f32[1, 8, 1, 1] = GlobalAveragePool(%j)
  return %g
})";
  const ir::Model block = model_of(kBlock);
  const ir::Model back = as_in_file(block);
  const auto count = [&](std::string_view op) {
    int found = 0;
    for (const ir::NodeId id : back.graph.order()) found += back.graph.node(id).is(op) ? 1 : 0;
    return found;
  };
  CHECK(count("QuantizeLinear") == 5);  // x, r, s, p and j; the Relu stays with its Conv
  CHECK(count("Add") == 1);
  CHECK(count("Sum") == 0);
  for (const ir::NodeId id : back.graph.order()) {
    const ir::Node& node = back.graph.node(id);
    if (node.is("Relu") || node.is("QuantizeLinear") || node.is("DequantizeLinear")) continue;
    for (const ir::ValueId input : node.inputs) {
      const ir::NodeId from = back.graph.value(input).producer;
      if (from.valid()) CHECK(back.graph.node(from).is("DequantizeLinear"));
    }
  }
  CHECK(sqnr(run(block), run(back)) > 90);
  // Read again, the values have their scales and the weight its codes.
  const ir::Model again = through_file(block);
  CHECK_FALSE(has_node(again, "DequantizeLinear"));
  CHECK_FALSE(named(again, "w").encoding.is_dense());
  CHECK(run(block) == run(again));
}

TEST_CASE("a Clip where the codes end is left to them", "[onnx]") {
  const auto clips = [](const std::string& limit) {
    const ir::Model model = model_of(R"(model {format = "onnx"}
weight @w: f32[4, 4, 1, 1] as int8 per-channel symmetric f32 flat parameters 16
weight @low: f32[] = [0.0]
weight @high: f32[] = [)" + limit + R"(]
graph main(%x: f32[1, 4, 8, 8] as int8(0.01, 0)) {
  %a: f32[1, 4, 8, 8] = Conv(%x, @w)
  %c: f32[1, 4, 8, 8] as int8(0.004, -127) = Clip(%a, @low, @high)
  %t: f32[1, 4, 8, 8] = Tanh(%c)
  return %t
})");
    const ir::Model back = as_in_file(model);
    CHECK(has_node(back, "QuantizeLinear"));
    if (limit == "1.016") CHECK(sqnr(run(model), run(back)) > 25);  // c has 8 bits in the file
    return has_node(back, "Clip");
  };
  CHECK_FALSE(clips("1.016"));  // 254 steps of 0.004
  CHECK_FALSE(clips("6.0"));    // the codes end before
  CHECK(clips("0.8"));
}

TEST_CASE("a value that floats alone read keeps its numbers", "[onnx]") {
  const ir::Model back = through_file(model_of(R"(model {format = "onnx"}
weight @w: f32[4, 4, 1, 1] as int8 per-channel symmetric f32 flat parameters 16
graph main(%x: f32[1, 4, 8, 8] as int8(0.01, 0)) {
  %e: f32[1, 4, 8, 8] as int8(0.02, 0) = Exp(%x)
  %y: f32[1, 4, 8, 8] = Conv(%e, @w)
  %z: f32[1, 4, 8, 8] = Tanh(%e)
  return %y, %z
})"));
  for (const ir::NodeId id : back.graph.order()) {
    const ir::Node& node = back.graph.node(id);
    if (node.is("Exp")) CHECK_FALSE(back.graph.value(node.inputs[0]).producer.valid());
    if (node.is("Tanh"))
      CHECK(back.graph.node(back.graph.value(node.inputs[0]).producer).is("Exp"));
  }
}

TEST_CASE("what ONNX has no form for is refused by name, or decoded when that is allowed",
          "[onnx]") {
  const ir::Model model = model_of(product("codebook2 group 32 f16 table -1 -0.3 0.3 1"));
  const File file;
  ThreadPool pool(1);
  Progress quiet(Progress::Style::kQuiet);
  formats::Target target{"onnx", ""};
  const Status refused = formats::write_model(model, file.path, target, pool, quiet);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().to_string().find("codebook2") != std::string::npos);
  CHECK(refused.error().to_string().find("--allow-dequantize") != std::string::npos);
  CHECK_FALSE(formats::check_writable(model, target));
  target.allow_dequantize = true;
  CHECK(formats::check_writable(model, target));
  CHECK(sqnr(run(as_floats(model)), run(through_file(model, target))) > 110);
}

}  // namespace thimble

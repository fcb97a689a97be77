// Products that find the codes of what they read as the model runs, as ONNX Runtime's
// quantize_dynamic writes them: MatMulInteger or ConvInteger of DynamicQuantizeLinear's codes,
// Cast, Mul by both scales, Add of a bias. One instruction, with the same numbers.

#include <algorithm>
#include <cstring>

#include "kernels/coded.h"
#include "lower/lowering.h"
#include "lower/panels.h"
#include "lower/payload.h"

namespace thimble::lower {
namespace {

using Streams = std::span<const std::span<std::byte>>;

// W [K, N] of a product, or [N, channels of a group, kernel...] of a convolution.
bool is_convolution(const ir::Weight& w) { return w.dims.size() > 2; }
std::int64_t outputs_of(const ir::Weight& w) { return w.dims[is_convolution(w) ? 0 : 1]; }
std::int64_t inputs_of(const ir::Weight& w) { return w.element_count() / outputs_of(w); }

// Bytes as the kernels' signed ones, those of u8 less 128; a convolution's inputs with the places
// of the kernel before the channels.
class IntegerPayload : public WholePayload {
 public:
  using WholePayload::WholePayload;

 protected:
  std::int64_t inputs() const { return inputs_of(weight()); }
  std::int64_t outputs() const { return outputs_of(weight()); }
  // Calls f(k, n, code) for every element.
  template <class F>
  Status each_code(F f) const {
    THIMBLE_ASSIGN(const ir::Rows rows, weight().source->read(0, weight().rows()));
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(rows.dense.data());
    const std::uint8_t flip = weight().dtype == ir::DType::kU8 ? 0x80 : 0;
    const bool convolution = is_convolution(weight());
    const std::int64_t channels = weight().dims[1], taps = inputs() / channels;
    for (std::int64_t k = 0; k < inputs(); ++k) {
      const std::int64_t own = k % channels * taps + k / channels;
      for (std::int64_t n = 0; n < outputs(); ++n) {
        const std::int64_t at = convolution ? n * inputs() + own : k * outputs() + n;
        f(k, n, static_cast<std::int8_t>(bytes[at] ^ flip));
      }
    }
    return ok();
  }
};

class IntegerTilesPayload : public IntegerPayload {
 public:
  IntegerTilesPayload(const ir::Weight& weight, std::int64_t group, std::vector<float> scales)
      : IntegerPayload(weight), group_(group), scales_(std::move(scales)) {}
  std::vector<std::uint64_t> piece_bytes() const override {
    return {static_cast<std::uint64_t>(group_ * kernels::coded_bytes(own_outputs(), inputs())),
            scales_.size() * sizeof(float)};
  }
  Status produce(std::int64_t, std::int64_t, Streams streams) const override {
    std::vector<std::int8_t> rows(static_cast<std::size_t>(outputs() * inputs()));
    THIMBLE_TRY(each_code([&](std::int64_t k, std::int64_t n, std::int8_t code) {
      rows[static_cast<std::size_t>(n * inputs() + k)] = code;
    }));
    auto* out = reinterpret_cast<std::int8_t*>(streams[0].data());
    for (std::int64_t g = 0; g < group_; ++g) {
      kernels::pack_coded(rows.data() + g * own_outputs() * inputs(), own_outputs(), inputs(),
                          out + g * kernels::coded_bytes(own_outputs(), inputs()));
    }
    std::memcpy(streams[1].data(), scales_.data(), streams[1].size());
    return ok();
  }

 private:
  std::int64_t own_outputs() const { return outputs() / group_; }

  std::int64_t group_;
  std::vector<float> scales_;
};

class IntegerSumsPayload : public IntegerPayload {
 public:
  using IntegerPayload::IntegerPayload;
  std::vector<std::uint64_t> piece_bytes() const override {
    return {static_cast<std::uint64_t>(outputs()) * sizeof(std::int32_t)};
  }
  Status produce(std::int64_t, std::int64_t, Streams streams) const override {
    std::vector<std::int32_t> sums(static_cast<std::size_t>(outputs()));
    THIMBLE_TRY(each_code([&](std::int64_t, std::int64_t n, std::int8_t code) {
      sums[static_cast<std::size_t>(n)] += code;
    }));
    std::memcpy(streams[0].data(), sums.data(), streams[0].size());
    return ok();
  }
};

struct IntegerProduct {
  ir::ValueId x, x_scale, x_zero;
  ir::ValueId weight_value;
  ir::Weight weight;
  std::int64_t group = 1;
  std::vector<float> scales;        // by output
  std::vector<std::int32_t> zeros;  // of signed codes, by output; empty: all 0
  ir::ValueId bias;                 // invalid: none
  ir::ValueId output;
  std::vector<ir::NodeId> behind;  // the nodes that compute it from the product's sums
};

// One number for all outputs, or one for each.
template <class T>
std::vector<T> for_outputs(const std::vector<T>& numbers, std::int64_t outputs) {
  const auto count = static_cast<std::size_t>(outputs);
  if (numbers.size() == 1) return std::vector<T>(count, numbers[0]);
  return numbers.size() == count ? numbers : std::vector<T>();
}

// Is the value one number that is there before the product: what gives its codes gives it too, or
// it is constant?
bool is_at_hand(const Lowering& lowering, ir::ValueId value, ir::ValueId codes) {
  if (!value.valid()) return false;
  const ir::Graph& graph = lowering.graph();
  if (graph.value(value).weight.valid())
    return lowering.model().weight(graph.value(value).weight).element_count() == 1;
  const ir::NodeId producer = graph.value(value).producer;
  return producer.valid() && producer == graph.value(codes).producer &&
         graph.node(producer).is("DynamicQuantizeLinear");
}

// Products of few inputs each gain nothing: convolutions by channels keep their loops.
bool match_shape(const ir::Node& node, IntegerProduct& product) {
  const ir::Weight& w = product.weight;
  product.group = node.integer("group", 1);
  if (w.element_count() <= 0 || is_convolution(w) != node.is("ConvInteger")) return false;
  const bool whole = product.group > 0 && outputs_of(w) % product.group == 0;
  return whole && (product.group == 1 || w.dims[1] > 1) &&
         inputs_of(w) <= kernels::kMostCodedInputs;
}

bool match_weight(const Lowering& lowering, const ir::Node& node, IntegerProduct& product) {
  const ir::Value& value = lowering.graph().value(product.weight_value);
  if (!value.weight.valid()) return false;
  product.weight = lowering.model().weight(value.weight);
  const ir::Weight& w = product.weight;
  const bool bytes = w.encoding.is_dense() && w.dims.size() >= 2 &&
                     (w.dtype == ir::DType::kI8 || w.dtype == ir::DType::kU8);
  if (!bytes || !match_shape(node, product)) return false;
  std::vector<std::int64_t> points = {0};
  if (node.inputs.size() > 3 && node.inputs[3].valid()) {
    const auto given = lowering.constant_integers(node.inputs[3]);
    if (!given) return false;
    points = *given;
  }
  for (const std::int64_t point : for_outputs(points, outputs_of(w)))
    product.zeros.push_back(
        static_cast<std::int32_t>(w.dtype == ir::DType::kU8 ? point - 128 : point));
  if (product.zeros.empty()) return false;
  if (std::all_of(product.zeros.begin(), product.zeros.end(), [](auto z) { return z == 0; }))
    product.zeros.clear();
  return true;
}

// Does a constant of `dims` say one number for all outputs, or one for each, where it is multiplied
// with or added to the sums?
bool is_by_output(const ir::Shape& dims, const ir::Weight& weight) {
  const ir::Dim outputs(outputs_of(weight)), one(1);
  const std::size_t axis_from_end = is_convolution(weight) ? weight.dims.size() - 2 : 0;
  if (dims.size() > (is_convolution(weight) ? weight.dims.size() : 1)) return false;
  for (std::size_t d = 0; d < dims.size(); ++d) {
    const bool own = dims.size() - 1 - d == axis_from_end;
    if (!(dims[d] == one) && !(own && dims[d] == outputs)) return false;
  }
  return true;
}

// The scales that the sums are multiplied by: x's times the weight's.
bool match_scales(const Lowering& lowering, ir::ValueId unit, IntegerProduct& product) {
  const ir::Graph& graph = lowering.graph();
  const ir::NodeId producer = graph.value(unit).producer;
  if (!producer.valid() || !graph.node(producer).is("Mul")) return false;
  const ir::Node& scales = graph.node(producer);
  const bool first =
      is_at_hand(lowering, scales.inputs[0], product.x) && lowering.is_constant(scales.inputs[1]);
  product.x_scale = scales.inputs[first ? 0 : 1];
  const ir::ValueId own = scales.inputs[first ? 1 : 0];
  if (!is_at_hand(lowering, product.x_scale, product.x) || !lowering.is_constant(own) ||
      !lowering.is_f32(own) || !is_by_output(*graph.value(own).shape, product.weight))
    return false;
  const auto numbers = ir::read_floats(lowering.model().weight(graph.value(own).weight));
  if (!numbers) return false;
  product.scales = for_outputs(*numbers, outputs_of(product.weight));
  if (lowering.only_user(unit)) product.behind.push_back(producer);
  return !product.scales.empty();
}

std::optional<ir::NodeId> next_node(const Lowering& lowering, ir::ValueId value,
                                    std::string_view op) {
  const auto user = lowering.only_user(value);
  return user && lowering.graph().node(*user).is(op) ? user : std::nullopt;
}

void match_bias(const Lowering& lowering, IntegerProduct& product) {
  const auto id = next_node(lowering, product.output, "Add");
  if (!id) return;
  const ir::Node& sum = lowering.graph().node(*id);
  const ir::ValueId bias = sum.inputs[sum.inputs[0] == product.output ? 1 : 0];
  const ir::Value& value = lowering.graph().value(bias);
  if (!value.weight.valid() || !value.shape || !is_by_output(*value.shape, product.weight) ||
      lowering.model().weight(value.weight).element_count() != outputs_of(product.weight))
    return;
  product.bias = bias;
  product.output = sum.outputs[0];
  product.behind.push_back(*id);
}

std::optional<IntegerProduct> match_product(const Lowering& lowering, const ir::Node& node) {
  const ir::Graph& graph = lowering.graph();
  IntegerProduct product;
  product.x = node.inputs[0];
  product.weight_value = node.inputs[1];
  product.x_zero = node.inputs.size() > 2 ? node.inputs[2] : ir::ValueId();
  if (graph.value(product.x).dtype != ir::DType::kU8 ||
      !is_at_hand(lowering, product.x_zero, product.x) || !match_weight(lowering, node, product))
    return std::nullopt;
  const auto cast = next_node(lowering, node.outputs[0], "Cast");
  if (!cast || !lowering.is_f32(graph.node(*cast).outputs[0])) return std::nullopt;
  const ir::ValueId sums = graph.node(*cast).outputs[0];
  const auto scaled = next_node(lowering, sums, "Mul");
  if (!scaled) return std::nullopt;
  const ir::Node& mul = graph.node(*scaled);
  if (!match_scales(lowering, mul.inputs[mul.inputs[0] == sums ? 1 : 0], product))
    return std::nullopt;
  product.output = mul.outputs[0];
  product.behind.insert(product.behind.end(), {*cast, *scaled});
  match_bias(lowering, product);
  return product;
}

template <class T>
std::int32_t numbers_slot(Lowering& lowering, const IntegerProduct& product, const char* suffix,
                          program::Type type, const std::vector<T>& numbers) {
  if (numbers.empty()) return -1;
  program::Tensor tensor{.name = product.weight.name + suffix,
                         .type = type,
                         .dims = {static_cast<std::int64_t>(numbers.size())}};
  return lowering.add_constant_slot(product.weight_value, std::move(tensor),
                                    values_payload(numbers));
}

std::int32_t tiles_slot(Lowering& lowering, const IntegerProduct& product) {
  const ir::Weight& w = product.weight;
  const std::int64_t inputs = inputs_of(w), outputs = outputs_of(w);
  program::Tensor tensor{
      .name = w.name,
      .layout = program::Layout::kCoded,
      .type = program::Type::kF32,
      .dims = is_convolution(w) ? w.dims : std::vector<std::int64_t>{outputs, inputs},
      .rows = outputs,
      .inputs = inputs,
      .axis = 1,
      .bits = 8,
      .group_size = outputs / product.group};
  return lowering.add_constant_slot(
      product.weight_value, std::move(tensor),
      std::make_unique<IntegerTilesPayload>(w, product.group, product.scales));
}

Status lower_product(Lowering& lowering, const ir::Node& node, const IntegerProduct& product) {
  using program::Type;
  THIMBLE_ASSIGN(const std::int32_t x, lowering.slot(product.x));
  const std::int32_t w = tiles_slot(lowering, product);
  program::Tensor sums{.name = product.weight.name + "/sums",
                       .type = Type::kI32,
                       .dims = {outputs_of(product.weight)}};
  const std::int32_t sum = lowering.add_constant_slot(
      product.weight_value, std::move(sums), std::make_unique<IntegerSumsPayload>(product.weight));
  const std::int32_t factor =
      numbers_slot(lowering, product, "/factor", Type::kF32, product.scales);
  THIMBLE_ASSIGN(const std::int32_t x_scale, lowering.slot(product.x_scale));
  THIMBLE_ASSIGN(const std::int32_t x_zero, lowering.slot(product.x_zero));
  THIMBLE_ASSIGN(const std::int32_t bias, lowering.slot(product.bias));
  const std::int32_t zero = numbers_slot(lowering, product, "/zero", Type::kI32, product.zeros);
  THIMBLE_ASSIGN(const std::int32_t y, lowering.slot(product.output));
  for (const ir::NodeId id : product.behind) lowering.mark_done(id);
  std::vector<std::int32_t> inputs = {x, w, sum, factor, x_scale, x_zero, bias, zero};
  while (inputs.back() < 0) inputs.pop_back();
  std::vector<program::Attribute> attributes;
  if (is_convolution(product.weight)) {
    THIMBLE_ASSIGN(attributes, lowering.attributes_of(node));
  }
  lowering.emit(program::Op::kMultiplyCodes, node, std::move(inputs), {y}).attributes =
      std::move(attributes);
  return ok();
}

Status lower_integer_product(Lowering& lowering, ir::NodeId id, const ir::Node& node) {
  if (const auto product = match_product(lowering, node))
    return lower_product(lowering, node, *product);
  return lower_direct(lowering, id, node);
}

}  // namespace

Handler integer_product_handler(std::string_view op, std::string_view domain) {
  const bool known = op == "MatMulInteger" || op == "ConvInteger";
  return domain.empty() && known ? lower_integer_product : nullptr;
}

}  // namespace thimble::lower

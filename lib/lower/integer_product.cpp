// Products that find the codes of what they read as the model runs, as ONNX Runtime's
// quantize_dynamic writes them: MatMulInteger of DynamicQuantizeLinear's codes, Cast, Mul by both
// scales, Add of a bias. One instruction, with the same numbers.

#include <algorithm>
#include <cstring>

#include "kernels/coded.h"
#include "lower/lowering.h"
#include "lower/panels.h"
#include "support/checked.h"

namespace thimble::lower {
namespace {

using Streams = std::span<const std::span<std::byte>>;

// W [K, N] of bytes as the kernels' signed ones: those of u8 less 128.
class IntegerPayload : public Payload {
 public:
  explicit IntegerPayload(const ir::Weight& weight) : weight_(weight) {}
  std::int64_t pieces() const override { return 1; }
  void release(std::int64_t, std::int64_t) const override {
    weight_.source->release(0, weight_.rows());
  }

 protected:
  std::int64_t inputs() const { return weight_.dims[0]; }
  std::int64_t outputs() const { return weight_.dims[1]; }
  // Calls f(k, n, code) for every element.
  template <class F>
  Status each_code(F f) const {
    THIMBLE_ASSIGN(const ir::Rows rows, weight_.source->read(0, inputs()));
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(rows.dense.data());
    const std::uint8_t flip = weight_.dtype == ir::DType::kU8 ? 0x80 : 0;
    for (std::int64_t k = 0; k < inputs(); ++k) {
      for (std::int64_t n = 0; n < outputs(); ++n)
        f(k, n, static_cast<std::int8_t>(bytes[k * outputs() + n] ^ flip));
    }
    return ok();
  }

 private:
  ir::Weight weight_;
};

class IntegerTilesPayload : public IntegerPayload {
 public:
  IntegerTilesPayload(const ir::Weight& weight, std::vector<float> scales)
      : IntegerPayload(weight), scales_(std::move(scales)) {}
  std::vector<std::uint64_t> piece_bytes() const override {
    return {static_cast<std::uint64_t>(kernels::coded_bytes(outputs(), inputs())),
            scales_.size() * sizeof(float)};
  }
  Status produce(std::int64_t, std::int64_t, Streams streams) const override {
    std::vector<std::int8_t> rows(static_cast<std::size_t>(outputs() * inputs()));
    THIMBLE_TRY(each_code([&](std::int64_t k, std::int64_t n, std::int8_t code) {
      rows[static_cast<std::size_t>(n * inputs() + k)] = code;
    }));
    kernels::pack_coded(rows.data(), outputs(), inputs(),
                        reinterpret_cast<std::int8_t*>(streams[0].data()));
    std::memcpy(streams[1].data(), scales_.data(), streams[1].size());
    return ok();
  }

 private:
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

bool match_weight(const Lowering& lowering, const ir::Node& node, IntegerProduct& product) {
  const ir::Value& value = lowering.graph().value(product.weight_value);
  if (!value.weight.valid()) return false;
  product.weight = lowering.model().weight(value.weight);
  const ir::Weight& w = product.weight;
  const bool bytes = w.encoding.is_dense() && w.dims.size() == 2 && w.element_count() > 0 &&
                     w.dims[0] <= kernels::kMostCodedInputs &&
                     (w.dtype == ir::DType::kI8 || w.dtype == ir::DType::kU8);
  if (!bytes) return false;
  std::vector<std::int64_t> points = {0};
  if (node.inputs.size() > 3 && node.inputs[3].valid()) {
    const auto given = lowering.constant_integers(node.inputs[3]);
    if (!given) return false;
    points = *given;
  }
  for (const std::int64_t point : for_outputs(points, w.dims[1]))
    product.zeros.push_back(
        static_cast<std::int32_t>(w.dtype == ir::DType::kU8 ? point - 128 : point));
  if (product.zeros.empty()) return false;
  if (std::all_of(product.zeros.begin(), product.zeros.end(), [](auto z) { return z == 0; }))
    product.zeros.clear();
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
      !lowering.is_f32(own) || graph.value(own).shape->size() > 1)
    return false;
  const auto numbers = ir::read_floats(lowering.model().weight(graph.value(own).weight));
  if (!numbers) return false;
  product.scales = for_outputs(*numbers, product.weight.dims[1]);
  if (lowering.only_user(unit)) product.behind.push_back(producer);
  return !product.scales.empty();
}

std::optional<ir::NodeId> next_node(const Lowering& lowering, ir::ValueId value,
                                    std::string_view op) {
  const auto user = lowering.only_user(value);
  return user && lowering.graph().node(*user).is(op) ? user : std::nullopt;
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
  const auto sum = lowering.only_user(product.output);
  if (!sum) return product;
  if (const auto bias =
          lowering.constant_addend(graph.node(*sum), product.output, product.weight.dims[1])) {
    product.bias = *bias;
    product.output = graph.node(*sum).outputs[0];
    product.behind.push_back(*sum);
  }
  return product;
}

template <class T>
Expected<std::int32_t> numbers_slot(Lowering& lowering, const IntegerProduct& product,
                                    const char* suffix, program::Type type,
                                    const std::vector<T>& numbers) {
  if (numbers.empty()) return -1;
  program::Tensor tensor{.name = product.weight.name + suffix,
                         .type = type,
                         .dims = {static_cast<std::int64_t>(numbers.size())}};
  return lowering.add_packed(product.weight_value, std::move(tensor), values_payload(numbers));
}

Expected<std::int32_t> tiles_slot(Lowering& lowering, const IntegerProduct& product) {
  const std::int64_t inputs = product.weight.dims[0], outputs = product.weight.dims[1];
  return lowering.add_packed(product.weight_value,
                             program::Tensor{.name = product.weight.name,
                                             .layout = program::Layout::kCoded,
                                             .type = program::Type::kF32,
                                             .dims = {outputs, inputs},
                                             .rows = outputs,
                                             .inputs = inputs,
                                             .axis = 1,
                                             .bits = 8,
                                             .group_size = outputs},
                             std::make_unique<IntegerTilesPayload>(product.weight, product.scales));
}

Status lower_product(Lowering& lowering, const ir::Node& node, const IntegerProduct& product) {
  using program::Type;
  THIMBLE_ASSIGN(const std::int32_t x, lowering.slot(product.x));
  THIMBLE_ASSIGN(const std::int32_t w, tiles_slot(lowering, product));
  program::Tensor sums{
      .name = product.weight.name + "/sums", .type = Type::kI32, .dims = {product.weight.dims[1]}};
  THIMBLE_ASSIGN(const std::int32_t sum,
                 lowering.add_packed(product.weight_value, std::move(sums),
                                     std::make_unique<IntegerSumsPayload>(product.weight)));
  THIMBLE_ASSIGN(const std::int32_t factor,
                 numbers_slot(lowering, product, "/factor", Type::kF32, product.scales));
  THIMBLE_ASSIGN(const std::int32_t x_scale, lowering.slot(product.x_scale));
  THIMBLE_ASSIGN(const std::int32_t x_zero, lowering.slot(product.x_zero));
  THIMBLE_ASSIGN(const std::int32_t bias, lowering.slot(product.bias));
  THIMBLE_ASSIGN(const std::int32_t zero,
                 numbers_slot(lowering, product, "/zero", Type::kI32, product.zeros));
  THIMBLE_ASSIGN(const std::int32_t y, lowering.slot(product.output));
  for (const ir::NodeId id : product.behind) lowering.mark_done(id);
  std::vector<std::int32_t> inputs = {x, w, sum, factor, x_scale, x_zero, bias, zero};
  while (inputs.back() < 0) inputs.pop_back();
  lowering.emit(program::Op::kMultiplyCodes, node, std::move(inputs), {y});
  return ok();
}

Status lower_matmul_integer(Lowering& lowering, ir::NodeId id, const ir::Node& node) {
  if (const auto product = match_product(lowering, node))
    return lower_product(lowering, node, *product);
  return lower_direct(lowering, id, node);
}

}  // namespace

Handler integer_product_handler(std::string_view op, std::string_view domain) {
  return domain.empty() && op == "MatMulInteger" ? lower_matmul_integer : nullptr;
}

}  // namespace thimble::lower

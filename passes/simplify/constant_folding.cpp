// fold-constants: works out what can be known before the model runs. Identity and Constant nodes
// go; integers that follow from shapes become constants; so does small f32 arithmetic on constants,
// and, within a budget of bytes that this may add, whatever else the runtime can work out.
// Large constants stay as they are: a Transpose of a weight is the emitter's business.

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include "ir/ops/shape_context.h"
#include "passes/registrations.h"
#include "passes/simplify/constant_execution.h"

namespace thimble::passes {
namespace {

constexpr std::int64_t kMostElements = 4096;

using Binary = float (*)(float, float);
using Unary = float (*)(float);

// Only what is exact on every machine.
Binary binary_function(const ir::Node& node) {
  if (node.is("Add")) return [](float a, float b) { return a + b; };
  if (node.is("Sub")) return [](float a, float b) { return a - b; };
  if (node.is("Mul")) return [](float a, float b) { return a * b; };
  if (node.is("Div")) return [](float a, float b) { return a / b; };
  return nullptr;
}
Unary unary_function(const ir::Node& node) {
  if (node.is("Neg")) return [](float a) { return -a; };
  if (node.is("Reciprocal")) return [](float a) { return 1 / a; };
  if (node.is("Sqrt")) return [](float a) { return std::sqrt(a); };
  const bool same = node.is("Reshape") || node.is("Unsqueeze") || node.is("Squeeze") ||
                    node.is("Flatten") || node.is("Cast");
  return same ? Unary([](float a) { return a; }) : nullptr;
}

struct Tensor {
  std::vector<std::int64_t> dims;
  std::vector<float> values;
};

std::optional<std::vector<std::int64_t>> fixed_dims(const ir::Value& value) {
  if (!value.shape) return std::nullopt;
  std::vector<std::int64_t> dims;
  std::int64_t total = 1;
  for (const ir::Dim& dim : *value.shape) {
    const auto size = dim.constant();
    if (!size || *size < 0 || *size > kMostElements) return std::nullopt;
    total *= std::max<std::int64_t>(*size, 1);
    if (total > kMostElements) return std::nullopt;
    dims.push_back(*size);
  }
  return dims;
}

std::size_t count_of(const std::vector<std::int64_t>& dims) {
  std::size_t count = 1;
  for (const std::int64_t dim : dims) count *= static_cast<std::size_t>(dim);
  return count;
}

// Where element `index` of a tensor of shape `to` comes from in one of shape `from` that broadcasts
// to it.
std::size_t source_index(std::size_t index, const std::vector<std::int64_t>& to,
                         const std::vector<std::int64_t>& from) {
  std::size_t out = 0, stride = 1;
  for (std::size_t i = 0; i < to.size(); ++i) {
    const auto size = static_cast<std::size_t>(to[to.size() - 1 - i]);
    if (i < from.size()) {
      const auto own = static_cast<std::size_t>(from[from.size() - 1 - i]);
      if (own != 1) out += index % size * stride;
      stride *= own;
    }
    index /= size;
  }
  return out;
}

class Folder {
 public:
  Folder(ir::Model& model, ir::Graph& graph) : model_(model), graph_(graph) {}

  Expected<std::int64_t> run() {
    THIMBLE_ASSIGN(data_, ir::infer_data(model_, graph_));
    for (const ir::NodeId id : graph_.order()) fold(id);
    ir::erase_unused_constants(model_, graph_);
    return folded_;
  }

 private:
  void fold(ir::NodeId id) {
    const ir::Node node = graph_.node(id);
    if (node.outputs.size() != 1 || graph_.is_output(node.outputs[0])) return;
    if (node.is("Identity")) {
      ir::replace_uses(model_, graph_, node.outputs[0], node.inputs[0]);
      graph_.erase(id);
      ++folded_;
    } else if (const std::optional<ir::WeightId> weight = constant_result(node)) {
      replace(id, node.outputs[0], *weight);
    }
  }

  std::optional<ir::WeightId> constant_result(const ir::Node& node) {
    const ir::ValueId output = node.outputs[0];
    if (node.is("Constant") && node.find("value") != nullptr) {
      return std::get<ir::WeightId>(*node.find("value"));
    }
    const ir::Value& value = graph_.value(output);
    const std::optional<std::vector<std::int64_t>> dims = fixed_dims(value);
    if (!dims) return std::nullopt;
    if (const auto integers = known_integers(output)) {
      return model_.add_weight(ir::make_dense(value.name, *dims, *integers));
    }
    if (value.dtype != ir::DType::kF32) return std::nullopt;
    if (const auto floats = known_floats(node, *dims)) {
      return model_.add_weight(ir::make_dense(value.name, *dims, *floats));
    }
    return std::nullopt;
  }

  std::optional<std::vector<std::int64_t>> known_integers(ir::ValueId id) const {
    const std::optional<ir::DimData>& data = data_[id.index];
    if (!data || graph_.value(id).dtype != ir::DType::kI64) return std::nullopt;
    std::vector<std::int64_t> integers;
    for (const ir::Dim& dim : *data) {
      const auto number = dim.constant();
      if (!number) return std::nullopt;
      integers.push_back(*number);
    }
    return integers;
  }

  std::optional<std::vector<float>> known_floats(const ir::Node& node,
                                                 const std::vector<std::int64_t>& dims) const {
    if (const AttributeFloats floats = constant_floats(node)) return floats;
    const Unary unary = unary_function(node);
    const Binary binary = binary_function(node);
    if (unary == nullptr && binary == nullptr) return std::nullopt;
    const std::optional<Tensor> a = constant(node.inputs[0]);
    if (!a) return std::nullopt;
    std::vector<float> out(count_of(dims));
    if (unary != nullptr) {
      if (a->values.size() != out.size()) return std::nullopt;
      std::transform(a->values.begin(), a->values.end(), out.begin(), unary);
      return out;
    }
    const std::optional<Tensor> b = constant(node.inputs[1]);
    if (!b) return std::nullopt;
    for (std::size_t i = 0; i < out.size(); ++i) {
      out[i] = binary(a->values[source_index(i, dims, a->dims)],
                      b->values[source_index(i, dims, b->dims)]);
    }
    return out;
  }

  using AttributeFloats = std::optional<std::vector<float>>;
  static AttributeFloats constant_floats(const ir::Node& node) {
    if (!node.is("Constant")) return std::nullopt;
    if (const auto* one = node.find("value_float"))
      return std::vector<float>{std::get<float>(*one)};
    if (const auto* many = node.find("value_floats")) return std::get<std::vector<float>>(*many);
    return std::nullopt;
  }

  // A small dense constant as f32 holds it exactly.
  std::optional<Tensor> constant(ir::ValueId id) const {
    if (!id.valid() || !graph_.value(id).weight.valid()) return std::nullopt;
    const ir::Weight& weight = model_.weight(graph_.value(id).weight);
    const bool exact = graph_.value(id).dtype == ir::DType::kF32 ||
                       weight.dtype == ir::DType::kI64 || weight.dtype == ir::DType::kI32;
    if (!exact || weight.source == nullptr || weight.element_count() > kMostElements)
      return std::nullopt;
    Expected<std::vector<float>> values = ir::read_floats(weight);
    if (!values) return std::nullopt;
    return Tensor{weight.dims, *std::move(values)};
  }

  // The new constant takes the old value's name and place.
  void replace(ir::NodeId id, ir::ValueId output, ir::WeightId weight) {
    const std::string name = graph_.value(output).name;
    const ir::ValueId constant = ir::constant_in(model_, graph_, weight);
    ir::replace_uses(model_, graph_, output, constant);
    graph_.erase(id);
    if (model_.weight(weight).name == name) ir::rename(model_, graph_, constant, name);
    ++folded_;
  }

  ir::Model& model_;
  ir::Graph& graph_;
  std::vector<std::optional<ir::DimData>> data_;  // by ValueId, of values there were at the start
  std::int64_t folded_ = 0;
};

class ConstantFolding : public pass::Pass {
 public:
  Status configure(const pass::Options& options) override {
    growth_ = static_cast<std::uint64_t>(options.integer("growth"));
    return ok();
  }
  // What is executed may say a shape that more follows from: exporters compute the padding of each
  // layer from the size that the layer before it gave.
  Status run(ir::Model& model, pass::Context& context, pass::Report& report) override {
    constexpr int kMostRounds = 64;
    ExecutionLimits limits{growth_ == 0 ? 0 : std::max(growth_, bytes_of_weights(model) / kShare)};
    for (int round = 0; round < kMostRounds; ++round) {
      THIMBLE_ASSIGN(const std::int64_t folded, fold(model));
      THIMBLE_ASSIGN(const std::int64_t executed, execute_constants(model, limits, context.pool));
      report.current().changes += folded + executed;
      if (executed == 0) break;
      THIMBLE_TRY(ir::infer_shapes(model));
    }
    return ok();
  }

 private:
  static constexpr std::uint64_t kShare = 64;  // a part of the weights that growth may be, anyway

  static std::uint64_t bytes_of_weights(const ir::Model& model) {
    std::uint64_t bits = 0;
    for (const ir::Weight& weight : model.weights) {
      const int each = weight.encoding.is_dense() ? ir::dtype_bits(weight.dtype)
                                                  : static_cast<int>(weight.encoding.bits);
      bits += static_cast<std::uint64_t>(weight.element_count()) * static_cast<std::uint64_t>(each);
    }
    return bits / 8;
  }

  static Expected<std::int64_t> fold(ir::Model& model) {
    THIMBLE_ASSIGN(std::int64_t changes, Folder(model, model.graph).run());
    THIMBLE_TRY(ir::infer_shapes(model));
    for (ir::Graph& body : model.graphs) {
      THIMBLE_ASSIGN(const std::int64_t inside, Folder(model, body).run());
      changes += inside;
    }
    return changes;
  }

  std::uint64_t growth_ = 0;
};

}  // namespace

pass::Registration constant_folding() {
  return {{.name = "fold-constants",
           .summary = "Work out what is known before the model runs",
           .kind = pass::Kind::kRewrite,
           .options = {{.name = "growth",
                        .type = pass::OptionType::kInteger,
                        .fallback = "65536",
                        .unit = "bytes",
                        .help = "that results of more than small arithmetic may add, in all, or "
                                "1/64 of the weights where that is more; 0: none",
                        .minimum = 0,
                        .maximum = 1 << 30}}},
          [] { return std::unique_ptr<pass::Pass>(new ConstantFolding); }};
}

}  // namespace thimble::passes

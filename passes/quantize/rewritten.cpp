#include "passes/quantize/rewritten.h"

#include <algorithm>

#include "quant/decode.h"

namespace thimble::passes {
namespace {

bool is_matrix_or_vector(const ir::Weight& weight) {
  const std::size_t rank = weight.dims.size();
  if (rank <= 2) return rank > 0;
  return std::all_of(weight.dims.begin(), weight.dims.end() - 1,
                     [](std::int64_t dim) { return dim == 1; });
}

class ScaledRows : public ComputedRows {
 public:
  ScaledRows(ir::Weight from, bool by_row, std::vector<double> factors)
      : ComputedRows(std::move(from)), by_row_(by_row), factors_(std::move(factors)) {}
  std::string describe() const override { return from().source->describe() + ", scaled"; }

 protected:
  Expected<std::vector<float>> compute(std::int64_t begin, std::int64_t end) const override {
    THIMBLE_ASSIGN(std::vector<float> values, quant::decode_rows(from(), begin, end));
    const auto width = static_cast<std::size_t>(from().inputs());
    for (std::size_t i = 0; i < values.size(); ++i) {
      const std::size_t at = by_row_ ? static_cast<std::size_t>(begin) + i / width : i % width;
      values[i] = static_cast<float>(values[i] * factors_[at]);
    }
    return values;
  }

 private:
  bool by_row_;
  std::vector<double> factors_;
};

}  // namespace

bool is_rewritable(const ir::Weight& weight) {
  const bool type = weight.dtype == ir::DType::kF32 || weight.dtype == ir::DType::kF16 ||
                    weight.dtype == ir::DType::kBF16;
  return weight.encoding.is_dense() && type && is_matrix_or_vector(weight);
}

void scale_weight(ir::Weight& weight, int axis, std::vector<double> factors) {
  THIMBLE_CHECK(is_rewritable(weight) && std::ssize(factors) == weight.dims[axis],
                "factors fit the weight '" + weight.name + "'");
  const bool by_row = axis == 0 && weight.dims.size() == 2;
  if (weight.source != nullptr)
    weight.source = std::make_shared<ScaledRows>(weight, by_row, std::move(factors));
  weight.dtype = ir::DType::kF32;
}

Expected<ir::Rows> ComputedRows::read(std::int64_t begin, std::int64_t end) const {
  THIMBLE_ASSIGN(std::vector<float> values, compute(begin, end));
  auto owner = std::make_shared<const std::vector<float>>(std::move(values));
  ir::Rows rows;
  rows.count = end - begin;
  rows.dense = std::as_bytes(std::span(*owner));
  rows.owner = std::move(owner);
  return rows;
}

ir::WeightId own_constant(ir::Model& model, ir::NodeId node, std::size_t input) {
  ir::Graph& graph = model.graph;
  const ir::ValueId value = graph.node(node).inputs[input];
  const ir::WeightId id = graph.value(value).weight;
  const auto& inputs = graph.node(node).inputs;
  const bool alone = graph.users(value).size() == 1 && !graph.is_output(value) &&
                     std::count(inputs.begin(), inputs.end(), value) == 1 &&
                     !ir::is_captured(model, graph, value);
  if (alone) return id;
  ir::Weight copy = model.weight(id);
  copy.name += ".node" + std::to_string(node.index);
  copy.source_parameters = 0;
  const ir::ValueId own = model.constant(model.add_weight(std::move(copy)));
  graph.node(node).inputs[input] = own;
  return graph.value(own).weight;
}

}  // namespace thimble::passes

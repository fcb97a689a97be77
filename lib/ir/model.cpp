#include "ir/model.h"

namespace thimble::ir {

DType constant_type(const Weight& weight) {
  return dtype_is_float(weight.dtype) || !weight.encoding.is_dense() ? DType::kF32 : weight.dtype;
}

WeightId Model::add_weight(Weight weight) {
  weights.push_back(std::move(weight));
  return {static_cast<std::uint32_t>(weights.size() - 1)};
}

const Weight& Model::weight(WeightId id) const {
  THIMBLE_CHECK(id.index < weights.size(), "a weight of the model");
  return weights[id.index];
}

Weight& Model::weight(WeightId id) { return const_cast<Weight&>(std::as_const(*this).weight(id)); }

ValueId Model::constant(WeightId id) {
  for (const ValueId value : graph.constants()) {
    if (graph.value(value).weight == id) return value;
  }
  const Weight& used = weight(id);
  return graph.add_constant(id, used.name, constant_type(used),
                            Shape(used.dims.begin(), used.dims.end()));
}

std::uint64_t Model::parameter_count() const {
  std::uint64_t total = 0;
  for (const Weight& w : weights) total += w.source_parameters;
  return total;
}

std::uint64_t Model::weight_bytes() const {
  std::uint64_t total = 0;
  for (const Weight& w : weights) {
    if (w.source != nullptr || !w.name.empty()) total += w.byte_size();
  }
  return total;
}

}  // namespace thimble::ir

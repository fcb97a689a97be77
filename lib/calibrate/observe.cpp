#include "calibrate/observe.h"

#include <algorithm>

namespace thimble::calibrate {

namespace {

Expected<std::int64_t> width_of(const ir::Model& model, ir::ValueId id) {
  const ir::Value& value = model.graph.value(id);
  if (value.dtype != ir::DType::kF32 || !value.shape || value.shape->empty() ||
      !value.shape->back().constant()) {
    return unsupported("only f32 values of a constant width can be observed").at_tensor(value.name);
  }
  return *value.shape->back().constant();
}

Expected<std::vector<StatisticsAccumulator>> accumulators(const Walk& walk,
                                                          std::span<const ir::ValueId> values,
                                                          Products products) {
  std::vector<StatisticsAccumulator> sums;
  for (const ir::ValueId value : values) {
    THIMBLE_ASSIGN(const std::int64_t width, width_of(walk.model(), value));
    sums.emplace_back(width, products, walk.pool());
  }
  return sums;
}

std::span<const float> floats_of(const runtime::TensorView& view) {
  return {static_cast<const float*>(view.data), static_cast<std::size_t>(view.count())};
}

Statistics finish(std::span<const ir::ValueId> values, std::vector<StatisticsAccumulator>& sums) {
  Statistics out;
  for (std::size_t i = 0; i < values.size(); ++i) out.emplace(values[i], sums[i].finish());
  return out;
}

}  // namespace

Expected<Statistics> observe_block(Walk& walk, std::span<const ir::ValueId> values, bool with_gram,
                                   const RunOptions& options) {
  const Products products = with_gram ? Products::kGram : Products::kNone;
  THIMBLE_ASSIGN(std::vector<StatisticsAccumulator> sums, accumulators(walk, values, products));
  THIMBLE_TRY(walk.run(
      values,
      [&](std::size_t, std::size_t which, const runtime::TensorView& view) {
        sums[which].add(floats_of(view));
        return ok();
      },
      options));
  return finish(values, sums);
}

Expected<Statistics> observe_drift(Walk& walk, Walk& other, std::span<const ir::ValueId> values,
                                   const RunOptions& options, const RunOptions& others) {
  THIMBLE_ASSIGN(std::vector<StatisticsAccumulator> sums,
                 accumulators(walk, values, Products::kGramAndDrift));
  THIMBLE_TRY(walk.run_beside(
      other, values,
      [&](std::size_t, std::size_t which, const runtime::TensorView& view,
          const runtime::TensorView& otherwise) {
        sums[which].add(floats_of(view), floats_of(otherwise));
        return ok();
      },
      options, others));
  return finish(values, sums);
}

Expected<Statistics> observe_model(const ir::Model& model, std::span<const Sample> samples,
                                   std::span<const ir::ValueId> values, ThreadPool& pool) {
  THIMBLE_ASSIGN(Walk walk, Walk::create(model, samples, pool));
  Statistics all;
  while (!walk.done() && all.size() < values.size()) {
    std::vector<ir::ValueId> here;
    for (const ir::ValueId value : values) {
      if (!all.contains(value) && walk.at_hand(value)) here.push_back(value);
    }
    const bool last = all.size() + here.size() == values.size();
    THIMBLE_ASSIGN(Statistics part, observe_block(walk, here, false, {.move = !last}));
    all.merge(part);
  }
  return all;
}

}  // namespace thimble::calibrate

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

}  // namespace

Expected<Statistics> observe_block(Walk& walk, std::span<const ir::ValueId> values, bool with_gram,
                                   const RunOptions& options) {
  std::vector<StatisticsAccumulator> sums;
  for (const ir::ValueId value : values) {
    THIMBLE_ASSIGN(const std::int64_t width, width_of(walk.model(), value));
    sums.emplace_back(width, with_gram, walk.pool());
  }
  THIMBLE_TRY(walk.run(
      values,
      [&](std::size_t, std::size_t which, const runtime::TensorView& view) {
        sums[which].add(
            {static_cast<const float*>(view.data), static_cast<std::size_t>(view.count())});
        return ok();
      },
      options));
  Statistics out;
  for (std::size_t i = 0; i < values.size(); ++i) out.emplace(values[i], sums[i].finish());
  return out;
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

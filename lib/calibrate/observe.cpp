#include "calibrate/observe.h"

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

std::span<const float> floats_of(const runtime::TensorView& view) {
  return {static_cast<const float*>(view.data), static_cast<std::size_t>(view.count())};
}

// The statistics of one input as they grow.
class InputSums {
 public:
  static Expected<InputSums> create(const Walk& walk, const Input& input, Products products) {
    InputSums sums(input);
    std::int64_t width = input.patches ? input.patches->width() : 0;
    if (!input.patches) {
      THIMBLE_ASSIGN(width, width_of(walk.model(), input.value));
    }
    for (std::int64_t g = 0; g < input.groups(); ++g)
      sums.groups_.emplace_back(width, products, walk.pool());
    return sums;
  }

  Status add(const runtime::TensorView& view) {
    if (!input_.patches) {
      groups_[0].add(floats_of(view));
      return ok();
    }
    for (std::size_t g = 0; g < groups_.size(); ++g) {
      THIMBLE_TRY(each_patch(*input_.patches, view, static_cast<std::int64_t>(g),
                             [&](std::span<const float> rows) { groups_[g].add(rows); }));
    }
    return ok();
  }

  // With what the value is in the other walk.
  Status add(const runtime::TensorView& view, const runtime::TensorView& other) {
    if (!input_.patches) {
      groups_[0].add(floats_of(view), floats_of(other));
      return ok();
    }
    for (std::size_t g = 0; g < groups_.size(); ++g) {
      const auto group = static_cast<std::int64_t>(g);
      std::vector<float> others;
      std::size_t at = 0;
      THIMBLE_TRY(each_patch(*input_.patches, other, group, [&](std::span<const float> rows) {
        others.insert(others.end(), rows.begin(), rows.end());
      }));
      THIMBLE_TRY(each_patch(*input_.patches, view, group, [&](std::span<const float> rows) {
        groups_[g].add(rows, std::span(others).subspan(at, rows.size()));
        at += rows.size();
      }));
    }
    return ok();
  }

  GroupStatistics finish() {
    GroupStatistics out;
    for (StatisticsAccumulator& sums : groups_) out.push_back(sums.finish());
    return out;
  }

 private:
  explicit InputSums(const Input& input) : input_(input) {}

  Input input_;
  std::vector<StatisticsAccumulator> groups_;
};

Expected<std::vector<InputSums>> sums_of(const Walk& walk, std::span<const Input> inputs,
                                         Products products) {
  std::vector<InputSums> all;
  for (const Input& input : inputs) {
    THIMBLE_ASSIGN(InputSums sums, InputSums::create(walk, input, products));
    all.push_back(std::move(sums));
  }
  return all;
}

std::vector<ir::ValueId> values_of(std::span<const Input> inputs) {
  std::vector<ir::ValueId> values;
  for (const Input& input : inputs) values.push_back(input.value);
  return values;
}

std::vector<GroupStatistics> finish(std::vector<InputSums>& all) {
  std::vector<GroupStatistics> out;
  for (InputSums& sums : all) out.push_back(sums.finish());
  return out;
}

Expected<std::vector<GroupStatistics>> observe(Walk& walk, std::span<const Input> inputs,
                                               Products products, const RunOptions& options) {
  THIMBLE_ASSIGN(std::vector<InputSums> sums, sums_of(walk, inputs, products));
  const auto add = [&](std::size_t, std::size_t which, const runtime::TensorView& view) {
    return sums[which].add(view);
  };
  THIMBLE_TRY(walk.run(values_of(inputs), add, options));
  return finish(sums);
}

}  // namespace

Expected<Statistics> observe_block(Walk& walk, std::span<const ir::ValueId> values,
                                   Products products, const RunOptions& options) {
  std::vector<Input> inputs;
  for (const ir::ValueId value : values) inputs.push_back({value, {}});
  THIMBLE_ASSIGN(std::vector<GroupStatistics> all, observe(walk, inputs, products, options));
  Statistics out;
  for (std::size_t i = 0; i < values.size(); ++i) out.emplace(values[i], std::move(all[i][0]));
  return out;
}

Expected<std::vector<GroupStatistics>> observe_inputs(Walk& walk, std::span<const Input> inputs,
                                                      const RunOptions& options) {
  return observe(walk, inputs, Products::kGram, options);
}

Expected<std::vector<GroupStatistics>> observe_drift(Walk& walk, Walk& other,
                                                     std::span<const Input> inputs,
                                                     const RunOptions& options,
                                                     const RunOptions& others) {
  THIMBLE_ASSIGN(std::vector<InputSums> sums, sums_of(walk, inputs, Products::kGramAndDrift));
  const auto add = [&](std::size_t, std::size_t which, const runtime::TensorView& view,
                       const runtime::TensorView& otherwise) {
    return sums[which].add(view, otherwise);
  };
  THIMBLE_TRY(walk.run_beside(other, values_of(inputs), add, options, others));
  return finish(sums);
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
    THIMBLE_ASSIGN(Statistics part, observe_block(walk, here, Products::kNone, {.move = !last}));
    all.merge(part);
  }
  return all;
}

}  // namespace thimble::calibrate

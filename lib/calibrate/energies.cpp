#include "calibrate/energies.h"

#include <algorithm>

#include "calibrate/observe.h"

namespace thimble::calibrate {
namespace {

void add_once(std::vector<ir::ValueId>& values, ir::ValueId value) {
  if (std::find(values.begin(), values.end(), value) == values.end()) values.push_back(value);
}

std::vector<ir::ValueId> inputs_of(const ir::Model& model, const ir::WeightUse& use) {
  std::vector<ir::ValueId> inputs;
  if (use.body.valid()) return inputs;  // a subgraph's values are not observed
  for (const ir::NodeId node : use.nodes) {
    if (const auto linear = ir::match_linear(model, node)) add_once(inputs, linear->input);
  }
  return inputs;
}

}  // namespace

Expected<Energies> observe_energies(const ir::Model& model, std::span<const ir::WeightUse> uses,
                                    std::span<const Sample> samples, ThreadPool& pool) {
  std::vector<ir::ValueId> inputs;
  for (const ir::WeightUse& use : uses) {
    for (const ir::ValueId input : inputs_of(model, use)) add_once(inputs, input);
  }
  THIMBLE_ASSIGN(const Statistics statistics, observe_model(model, samples, inputs, pool));
  Energies energies;
  for (const ir::WeightUse& use : uses) {
    Energy energy;
    for (const ir::ValueId input : inputs_of(model, use)) {
      const auto found = statistics.find(input);
      if (found == statistics.end()) continue;
      const InputStatistics& seen = found->second;
      energy.sums.resize(seen.energy.size());
      for (std::size_t i = 0; i < seen.energy.size(); ++i) energy.sums[i] += seen.energy[i];
      energy.rows += seen.tokens;
    }
    if (energy.rows > 0) energies.emplace(use.weight, std::move(energy));
  }
  return energies;
}

}  // namespace thimble::calibrate

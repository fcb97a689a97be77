#pragma once
// The energy of each input of a weight's products: what an error in that column of the weight costs
// in the squared error of the outputs, and what llama.cpp calls an importance matrix.

#include <map>
#include <span>
#include <vector>

#include "calibrate/walk.h"
#include "ir/match.h"

namespace thimble::calibrate {

struct Energy {
  std::vector<double> sums;  // of x^2, [inputs]
  std::int64_t rows = 0;     // that were summed
};

// By weight, of those of `uses` that products read; convolutions and embeddings have none. One walk
// over the samples, on the model as it is.
using Energies = std::map<ir::WeightId, Energy>;
Expected<Energies> observe_energies(const ir::Model& model, std::span<const ir::WeightUse> uses,
                                    std::span<const Sample> samples, ThreadPool& pool);

}  // namespace thimble::calibrate

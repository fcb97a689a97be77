#pragma once
// How far a model's outputs go from its own when some of its weights are encoded: the end-to-end
// measurements that slopes come from.

#include <functional>
#include <span>
#include <vector>

#include "calibrate/walk.h"
#include "ir/model.h"
#include "support/thread_pool.h"

namespace thimble::allocate {

struct Change {
  ir::WeightId weight;
  ir::Encoding encoding;
  bool search = true;  // scales by least squared error
};
using Trial = std::vector<Change>;  // at least one

// For each trial the mean KL divergence over all rows of the outputs, in nats (language models), or
// else |y - y'|^2 / |y|^2 over all outputs; everything in f32. `done(trial, divergence)` hears of
// each, those that change later blocks last: only the blocks from the first change on run again, on
// what the float model gives them. Memory: the boundary of one block and the float outputs of all
// samples, and what of the model isn't mapped. Weights must be among ir::quantizable_weights.
Status measure(const ir::Model& model, std::span<const calibrate::Sample> samples,
               std::span<const Trial> trials, ThreadPool& pool,
               const std::function<Status(std::size_t trial, double divergence)>& done);

}  // namespace thimble::allocate

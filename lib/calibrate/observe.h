#pragma once
// Statistics of values as samples go through a model.

#include <map>
#include <span>

#include "calibrate/statistics.h"
#include "calibrate/walk.h"

namespace thimble::calibrate {

using Statistics = std::map<ir::ValueId, InputStatistics>;

// Of values f32 [..., width] of a constant width that the walk's block reads or computes. Runs the
// block once, and moves on if the options say so.
Expected<Statistics> observe_block(Walk& walk, std::span<const ir::ValueId> values, bool with_gram,
                                   const RunOptions& options);
// The same with their drift from what they are in another walk (Walk::run_beside), whose run the
// second options are of.
Expected<Statistics> observe_drift(Walk& walk, Walk& other, std::span<const ir::ValueId> values,
                                   const RunOptions& options, const RunOptions& others);

// Of such values anywhere in the model, without Gram matrices: one walk. Values that depend on no
// input are left out.
Expected<Statistics> observe_model(const ir::Model& model, std::span<const Sample> samples,
                                   std::span<const ir::ValueId> values, ThreadPool& pool);

}  // namespace thimble::calibrate

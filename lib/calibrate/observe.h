#pragma once
// Statistics of values as samples go through a model.

#include <map>
#include <optional>
#include <span>
#include <vector>

#include "calibrate/patches.h"
#include "calibrate/statistics.h"
#include "calibrate/walk.h"

namespace thimble::calibrate {

using Statistics = std::map<ir::ValueId, InputStatistics>;

// Of values f32 [..., width] of a constant width that the walk's block reads or computes. Runs the
// block once, and moves on if the options say so.
Expected<Statistics> observe_block(Walk& walk, std::span<const ir::ValueId> values,
                                   Products products, const RunOptions& options);

// What a weight is multiplied with: the rows of a value f32 [..., width], or windows of an image.
struct Input {
  ir::ValueId value;
  std::optional<Patches> patches;

  std::int64_t groups() const { return patches ? patches->groups : 1; }
  bool operator==(const Input&) const = default;
};
// Of inputs that the walk's block reads or computes, with their Gram matrices: for each input one
// of each group.
using GroupStatistics = std::vector<InputStatistics>;
Expected<std::vector<GroupStatistics>> observe_inputs(Walk& walk, std::span<const Input> inputs,
                                                      const RunOptions& options);
// The same with their drift from what they are in another walk (Walk::run_beside), whose run the
// second options are of.
Expected<std::vector<GroupStatistics>> observe_drift(Walk& walk, Walk& other,
                                                     std::span<const Input> inputs,
                                                     const RunOptions& options,
                                                     const RunOptions& others);

// Of such values anywhere in the model, without Gram matrices: one walk. Values that depend on no
// input are left out.
Expected<Statistics> observe_model(const ir::Model& model, std::span<const Sample> samples,
                                   std::span<const ir::ValueId> values, ThreadPool& pool);

}  // namespace thimble::calibrate

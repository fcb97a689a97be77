#pragma once
// The two streams that gptq looks at, block by block: the model as it is being quantized, and where
// the drift between them is wanted, the model as it was when the pass began.

#include <memory>
#include <optional>
#include <span>

#include "calibrate/observe.h"
#include "pass/pass.h"

namespace thimble::passes {

class GptqInputs {
 public:
  // The model and the context outlive this; the model keeps its graph. With `drift` the boundaries
  // of both streams are held, and each block runs in both.
  static Expected<GptqInputs> create(const ir::Model& model, pass::Context& context, bool drift);

  bool done() const { return walk_.done(); }
  const calibrate::Block& block() const { return walk_.block(); }
  // Bytes that the statistics of an input take.
  std::uint64_t bytes_of(std::int64_t width) const;
  // Statistics of what the block reads or computes; `last`: of this block's none follow.
  Expected<std::vector<calibrate::GroupStatistics>> observe(
      std::span<const calibrate::Input> inputs, bool last);
  // Goes on to the next block, with what the model as it is now gives.
  Status move();

 private:
  explicit GptqInputs(calibrate::Walk walk) : walk_(std::move(walk)) {}

  calibrate::Walk walk_;
  std::unique_ptr<const ir::Model> original_;  // null: no drift
  std::optional<calibrate::Walk> before_;      // through it
};

}  // namespace thimble::passes

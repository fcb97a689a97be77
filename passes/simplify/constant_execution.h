#pragma once
// Runs the parts of a graph that depend on no input, on the road that the whole model takes.

#include <cstdint>

#include "ir/model.h"
#include "support/thread_pool.h"

namespace thimble::passes {

// What a file may use up, over all that is executed: bytes that results add to what the constants
// took that they were computed from, and work (as work_of counts; seconds at most by default).
struct ExecutionLimits {
  std::uint64_t growth;
  std::uint64_t work = std::uint64_t{1} << 32;
};

// Replaces values that follow from dense constants alone, in the main graph and in bodies, by what
// the runtime computes for them, as long as the limits allow. Exporters write the weights of an
// LSTM so, with its gates put into ONNX's order by slices and concatenations. Left alone: what
// draws random numbers, decodes quantized numbers or holds bodies, what reads or gives more than a
// small tensor, what would make too much work, and a graph whose constants can't be worked out.
// Returns how many values became constants; shapes are known before, and to be inferred again
// after.
Expected<std::int64_t> execute_constants(ir::Model& model, ExecutionLimits& limits,
                                         ThreadPool& pool);

}  // namespace thimble::passes

#pragma once
// Payloads of convolutions: weights in panels (lib/kernels/convolve.h) and vectors that lowering
// computed.

#include <memory>
#include <vector>

#include "ir/weight.h"
#include "lower/lower.h"

namespace thimble::lower {

// A dense weight [outputs, ...] of floats in panels; `outputs` a group. The tensor is filled in but
// for its segments.
program::Tensor panel_tensor(const ir::Weight& weight, std::int64_t group_outputs);
std::unique_ptr<Payload> panel_payload(const ir::Weight& weight, std::int64_t group_outputs);

std::unique_ptr<Payload> values_payload(std::vector<float> values);
std::unique_ptr<Payload> values_payload(std::vector<std::int32_t> values);

}  // namespace thimble::lower

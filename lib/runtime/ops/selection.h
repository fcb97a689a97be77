#pragma once
// The operators that select, scatter and make shapes, by file; selection.cpp lists them.

#include "runtime/ops/operands.h"

namespace thimble::runtime {

std::span<const Operator> relaying_operators();    // relay.cpp: Reshape, Slice, Tile, ...
std::span<const Operator> gathering_operators();   // gather.cpp: GatherND, NonZero, OneHot, ...
std::span<const Operator> scattering_operators();  // scatter.cpp
std::span<const Operator> filling_operators();     // fill.cpp: Shape, Range, EyeLike, Trilu, ...
std::span<const Operator> sorting_operators();     // unique.cpp, and NonMaxSuppression of boxes.cpp
std::span<const Operator> attending_operators();   // attend.cpp: Attention over plain tensors
std::span<const Operator> rotating_operators();    // rotate.cpp: RotaryEmbedding
std::span<const Operator> remembering_operators();  // linear_attention.cpp

// The result has the type of an input.
inline Status keeps_type(const Call& call, std::size_t input = 0) {
  return demand(call.outputs[0] == nullptr || call.outputs[0]->type == call.inputs[input]->type,
                "an operator's result has another type than its input");
}

}  // namespace thimble::runtime

#pragma once
// What a bench runs a graph on where the user gives no arrays.

#include <cstdint>
#include <vector>

#include "data/npz.h"
#include "program/bundle.h"

namespace thimble::cli {

// An array for each input, of seeded numbers: floats from [0, 1), an encoder's input_ids from its
// vocabulary and its attention_mask 1, other integers 0. A first axis of any size has one entry,
// further ones of an encoder `tokens`; of other models they are an error that names the axis.
Expected<std::vector<data::Array>> made_inputs(const program::Bundle& bundle, std::int64_t tokens);

}  // namespace thimble::cli

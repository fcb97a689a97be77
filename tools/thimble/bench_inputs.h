#pragma once
// What a bench runs a graph on where the user gives no arrays.

#include <cstdint>
#include <vector>

#include "data/npz.h"
#include "ir/dim_range.h"
#include "program/bundle.h"

namespace thimble::cli {

// What is known of the sizes that the program leaves open.
struct MadeSizes {
  ir::DimRanges sizes;        // said for this run, by the names of symbols
  ir::DimRanges ranges;       // that the model was written for
  std::int64_t tokens = 128;  // of an encoder's text, as far as the ranges allow
};

// An array for each input, of seeded numbers: floats from [0, 1), an encoder's input_ids from its
// vocabulary and its attention_mask 1, other integers 0. Of open sizes that aren't said a first
// axis has one entry, further ones of an encoder `tokens`, of another model as many as its range
// allows. Errors: an open size without a range that isn't said, one said that no input has or
// outside of its range.
Expected<std::vector<data::Array>> made_inputs(const program::Bundle& bundle,
                                               const MadeSizes& known);

}  // namespace thimble::cli

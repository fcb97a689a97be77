#pragma once
// From codes to floats, for callers that hold a weight or loose streams.

#include <cstdint>
#include <vector>

#include "ir/weight.h"

namespace thimble::quant {

// Rows [begin, end) of a weight in its own view (Weight::rows()), [end - begin, inputs()].
Expected<std::vector<float>> decode_rows(const ir::Weight& weight, std::int64_t begin,
                                         std::int64_t end);

// Streams of an encoded weight into out [rows, inputs].
Status decode_rows(const ir::Encoding& encoding, const ir::Rows& streams, std::int64_t rows,
                   std::int64_t inputs, float* out);

}  // namespace thimble::quant

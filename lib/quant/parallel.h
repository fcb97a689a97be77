#pragma once
// Work on the rows of a weight matrix, spread over threads.

#include <vector>

#include "quant/quantize.h"
#include "support/thread_pool.h"

namespace thimble::quant {

// quantize_rows() over all threads: the same result. Not for per-tensor encodings.
Status quantize_rows_parallel(const WeightMatrix& weights, const ir::Encoding& encoding,
                              const SearchOptions& options, ir::Rows& out, ThreadPool& pool);

// weights - decoded(rows), [rows, inputs].
Expected<std::vector<float>> rounding_errors(const WeightMatrix& weights, const ir::Rows& rows,
                                             const ir::Encoding& encoding, ThreadPool& pool);

}  // namespace thimble::quant

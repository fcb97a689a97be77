#pragma once
// Are a model's weights numbers?

#include <vector>

#include "ir/model.h"
#include "pass/report.h"
#include "support/thread_pool.h"

namespace thimble::pass {

// A finding for each float weight that holds NaN or infinities: how many and in which row first; of
// a quantized one its scales and minima are looked at. A tensor that no product or embedding reads
// may hold -inf: masks do. Reads every weight once and releases it. Errors: those of the reads.
Expected<std::vector<Finding>> find_not_finite(const ir::Model& model, ThreadPool& pool);

}  // namespace thimble::pass

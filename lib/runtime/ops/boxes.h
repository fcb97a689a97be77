#pragma once
// NonMaxSuppression: boxes that a better one overlaps too much are dropped.

#include "runtime/values.h"

namespace thimble::runtime {

Status shape_suppression(const Call& call, std::vector<Dims>& results);
Status run_suppression(Call& call);

}  // namespace thimble::runtime

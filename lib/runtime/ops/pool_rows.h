#pragma once
// Pools of f32 planes by rows.

#include "runtime/ops/images.h"

namespace thimble::runtime {

// Maxima without indices, and means over windows that lie in a plane.
bool pools_by_rows(const Call& call, const Windows& w);
std::size_t row_pool_bytes(const Call& call, const Windows& w);  // of scratch
enum class Pooled : std::uint8_t { kMost, kMean };
Status pool_rows(Call& call, const Windows& w, Pooled pooled);

}  // namespace thimble::runtime

#pragma once
// What each encoding of a weight costs: bytes in the file, and error in what its products give.

#include <cstdint>
#include <span>
#include <vector>

#include "allocate/knapsack.h"
#include "ir/model.h"
#include "pass/allocation.h"
#include "support/thread_pool.h"

namespace thimble::allocate {

// Bytes of the weight's segments in a .thimble, each rounded up to `alignment`.
Expected<std::uint64_t> stored_bytes(const ir::Weight& weight, const ir::Encoding& encoding,
                                     std::uint64_t alignment);

// sum e_j (w_ij - q_ij)^2 / sum e_j w_ij^2 for each encoding offered, with the energy e of each
// input (empty: all the same), over at most 2^17 weights of rows spread evenly; 0 for the weight as
// it is. Fits what is to be fitted, in `open`, to a part of these rows; but levels only where they
// might win: not where another offer of `item`'s bytes or fewer loses kMostGain of what they lose
// unfitted.
inline constexpr double kMostGain = 0.7;
Expected<std::vector<double>> output_errors(const ir::Weight& weight, const Item& item,
                                            std::span<const double> energy, ThreadPool& pool,
                                            pass::OpenWeight& open);

}  // namespace thimble::allocate

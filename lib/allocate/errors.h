#pragma once
// What each encoding of a weight costs: bytes in the file, and error in what its products give.

#include <cstdint>
#include <span>
#include <vector>

#include "allocate/knapsack.h"
#include "ir/model.h"
#include "pass/allocation.h"
#include "quant/gptq.h"
#include "support/thread_pool.h"

namespace thimble::allocate {

// Bytes of the weight's segments in a .thimble, each rounded up to `alignment`.
Expected<std::uint64_t> stored_bytes(const ir::Weight& weight, const ir::Encoding& encoding,
                                     std::uint64_t alignment);

// Of each encoding offered; 0 for the weight as it is.
struct OfferErrors {
  std::vector<double> rounding;  // by rounding to nearest
  std::vector<double> written;   // by the pass that asks
};

// sum e_j (w_ij - q_ij)^2 / sum e_j w_ij^2 for each encoding offered, with the energy e of each
// input (empty: all the same), over at most 2^17 weights of rows spread evenly. With factors, for a
// weight that compensates: what gptq leaves of the outputs' error, on the same scale, where it may
// matter: not where another offer of `item`'s bytes or fewer loses kMostGain of what this one
// does. Fits what is to be fitted, in `open`, to a part of these rows; but levels only where they
// might win, likewise.
inline constexpr double kMostGain = 0.7;
Expected<OfferErrors> output_errors(const ir::Weight& weight, const Item& item,
                                    std::span<const double> energy,
                                    const quant::GptqFactors* factors, ThreadPool& pool,
                                    pass::OpenWeight& open);

}  // namespace thimble::allocate

#pragma once
// How much work a node makes, told from its shapes alone: a file may ask for any, and the answer
// decides what is folded, so that it must be the same on every machine.

#include <cstdint>

#include "ir/graph.h"

namespace thimble::passes {

// At least as many elements as the node reads, writes or multiplies, in multiples of 1; the largest
// number where they are too many to count. Every shape of the node is known and of constants.
std::uint64_t work_of(const ir::Graph& graph, const ir::Node& node);

}  // namespace thimble::passes

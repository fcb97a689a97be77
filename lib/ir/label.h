#pragma once
// What errors, reports and profiles call a node.

#include <string>

#include "ir/graph.h"

namespace thimble::ir {

// The node's name; many exporters give none, and then the name of its first result, or its
// operator's.
std::string node_label(const Graph& graph, const Node& node);

}  // namespace thimble::ir

#pragma once
// What errors, reports and profiles call a node.

#include <string>

#include "ir/graph.h"
#include "support/error.h"

namespace thimble::ir {

// The node's name; many exporters give none, and then the name of its first result, or its
// operator's.
std::string node_label(const Graph& graph, const Node& node);
// The error, with a note that says which node it is about.
Error about_node(Error error, const Graph& graph, const Node& node);

}  // namespace thimble::ir

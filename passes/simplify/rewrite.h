#pragma once
// What rewrites have in common: a function over each graph of a model, and the edits that it makes.

#include <string>
#include <vector>

#include "ir/model.h"
#include "pass/pass.h"

namespace thimble::passes {

// A pass without options that applies `change` to the main graph and to every body; it returns how
// many places it changed. Shapes are inferred again where it changed something.
pass::Registration rewrite(std::string name, std::string summary,
                           Expected<std::int64_t> (*change)(ir::Model& model, ir::Graph& graph));

// Is any result read, by a node, as an output of the graph, or by a body?
bool is_used(const ir::Model& model, const ir::Graph& graph, const ir::Node& node);

// Have both values the same type and the same known shape?
bool same_kind(const ir::Graph& graph, ir::ValueId a, ir::ValueId b);

// Puts a node of one result in the place of another: same name, its result takes over the uses and
// the name of the old node's first.
ir::NodeId replace_node(ir::Model& model, ir::Graph& graph, ir::NodeId old, std::string op,
                        std::vector<ir::ValueId> inputs, std::vector<ir::Attribute> attributes);

// A constant of our own in this graph.
ir::ValueId add_constant(ir::Model& model, ir::Graph& graph, ir::Weight weight);

}  // namespace thimble::passes

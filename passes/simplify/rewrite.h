#pragma once
// What rewrites have in common: a function over each graph of a model, and the edits that it makes.

#include <optional>
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

// Puts `with`, of the same type and shape, in the place of the node's only used result. A result
// that is an output of the graph hands its name on; false, and nothing done, where it can't: to an
// input, a constant, or another output.
bool bypass(ir::Model& model, ir::Graph& graph, ir::NodeId node, ir::ValueId with);

// Is `value` read by this one node and by nothing else?
bool only_read_by(const ir::Model& model, const ir::Graph& graph, ir::ValueId value,
                  ir::NodeId node);

// The elements of a constant of whole numbers; nothing when it isn't one.
std::optional<std::vector<std::int64_t>> constant_integers(const ir::Model& model,
                                                           const ir::Graph& graph, ir::ValueId id);

// What Reshape takes to make a tensor of shape `to` out of one of shape `from`: sizes, 0 for those
// that stay, one -1. Nothing when the sizes aren't known well enough.
std::optional<std::vector<std::int64_t>> reshape_target(const ir::Shape& from, const ir::Shape& to);

// Makes the node, of one result, a Reshape of `x` to the result's shape; false, and nothing done,
// where reshape_target knows none.
bool become_reshape(ir::Model& model, ir::Graph& graph, ir::NodeId node, ir::ValueId x);

}  // namespace thimble::passes

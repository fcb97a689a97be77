#pragma once
// Operators that inference engines compute on int8 codes when what they read and what they give
// have fixed scales: passes give scales to their results, the ONNX writer rounds these.

#include <vector>

#include "ir/model.h"

namespace thimble::ir {

enum class IntegerForm : std::uint8_t {
  kNone,
  kConvolution,  // y has a scale of its own
  kArithmetic,   // of one or more values with scales; y has a scale of its own
  kPool,         // means of one value; y has a scale of its own
  kMovement,     // of input 0, whose numbers are not changed: y has the same scale
  kJoin,         // of several values, whose numbers are not changed
  kCut,          // Relu, Clip: at no cost behind one of the above, by the range of y's scale
};

IntegerForm integer_form(const Node& node);

// The values among the inputs whose scales matter: not a Conv's weight, a Reshape's dims.
std::vector<ValueId> scaled_inputs(const Node& node);

// Where the node's codes go: its result or, when that is read by a kCut alone, what this gives.
// Invalid for nodes without results.
ValueId scaled_result(const Graph& graph, const Node& node);

// Does the node read fixed scales, and give values of one? Engines compute it on codes then; who
// computes it in floats rounds what it reads and what it gives.
bool works_on_codes(const Model& model, const Graph& graph, NodeId id);
// Does such a node give the value, by itself or with a kCut behind it? It is rounded wherever it
// goes then.
bool is_from_codes(const Model& model, const Graph& graph, ValueId value);

}  // namespace thimble::ir

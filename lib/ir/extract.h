#pragma once
// A part of a model as a model of its own: what a calibration runs block by block.

#include <span>

#include "ir/model.h"

namespace thimble::ir {

// The nodes that `outputs` need, given `inputs` (values of `model`'s main graph at which the walk
// back stops). The graph inputs that the walk reaches become inputs as well, after the given ones;
// a state whose input is among them comes along, with its output after the given outputs. Values
// keep their names, types, shapes and activation schemes; weights share the sources of the
// original's. What else travels with a model (tokenizer, task, metadata) stays behind. The order
// of nodes is the original's.
Model extract(const Model& model, std::span<const ValueId> inputs,
              std::span<const ValueId> outputs);

}  // namespace thimble::ir

#pragma once
// A graph cut into the pieces that a calibration streams through. Nothing in it is the
// calibration's own: whatever looks at a model piece by piece (what a piece costs, loses or could
// do without) cuts it here. docs/decisions/0008-blocks.md says why it cuts where it does.

#include <vector>

#include "ir/model.h"

namespace thimble::calibrate {

struct Block {
  int layer = -1;                   // as names tell it; -1: before, after, or no layers at all
  std::vector<ir::NodeId> nodes;    // in the graph's order
  std::vector<ir::ValueId> reads;   // from earlier blocks and graph inputs; states are not counted
  std::vector<ir::ValueId> writes;  // its results that later blocks read
  std::vector<ir::ValueId> keeps;   // everything of it and before it that later blocks read
};

// Every node that depends on an input is in one block, and reads (as do its bodies) only what that
// block, those before it or the graph's inputs give. Nodes that depend on constants alone are in
// none: who needs them computes them.
//
// Where names number layers, there is a block for each, one for what comes before the first, and
// one for what comes after the last: a node takes the latest block of what it reads, or that of its
// layer (ir::layer_of its weight's name or its own) if later; a product after the last layer starts
// the last block. A graph without layers is cut wherever a single float carries on what weights
// made so far: so a residual block stays whole. What has more than kMostWeights then, of a graph
// with layers or without, is cut again where two carry it on, then three, up to kMostCarried. A
// block of those has at least one weight that is multiplied.
std::vector<Block> cut_into_blocks(const ir::Model& model);

constexpr int kMostWeights = 12;
constexpr int kMostCarried = 4;

}  // namespace thimble::calibrate

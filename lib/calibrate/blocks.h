#pragma once
// A graph cut into the pieces that a calibration streams through: one per layer, what comes before
// the first, and what comes after the last.

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

// Every node that depends on an input is in one block, and reads only what that block, those before
// it or the graph's inputs give. A node takes the latest block of what it reads, or that of its
// layer (ir::layer_of its weight's name or its own) if later; a product after the last layer starts
// the last block. Nodes that depend on constants alone are in none: who needs them computes them. A
// graph without layers is one block.
std::vector<Block> cut_into_blocks(const ir::Model& model);

}  // namespace thimble::calibrate

#pragma once
// The order of a graph's nodes. ONNX asks for producers before readers; files that converters of
// 16-bit floats wrote have new nodes at the end, and ONNX Runtime sorts them.

#include <vector>

#include "formats/onnx/proto.h"

namespace thimble::formats::onnx {

// The file's order, but for producers that stand behind what reads them: those come right before.
// A cycle stays where it is.
std::vector<const NodeInfo*> in_order(const std::vector<NodeInfo>& nodes);

}  // namespace thimble::formats::onnx

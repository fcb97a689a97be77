#pragma once
// From any opset of the default ONNX domain to the one form that the rest of the project knows.

#include <cstdint>
#include <span>

#include "formats/onnx/rewriter.h"

namespace thimble::formats::onnx {

// Rewrites every graph of the model in place from opset `opset` (1 to 27) to ONNX opset 23: what
// became an input since is a constant input, defaults that changed are written out, operators that
// went are spelt with those that stayed. Operators that opsets 24 to 27 added or widened stay as
// they are. Weights are neither read (but for small integer ones) nor copied. Errors name the node
// and its operator.
Status upgrade(ir::Model& model, std::int64_t opset);

// Rewrites every version: above the newest opset that is read.
constexpr std::int64_t kAlways = 28;

// Parts of the table, one family a file. Rows of one operator apply in order.
std::span<const Adapter> attribute_adapters();  // attributes that became inputs
std::span<const Adapter> default_adapters();    // attributes that went, or whose defaults changed
std::span<const Adapter> broadcast_adapters();  // broadcasting before opset 7
std::span<const Adapter> layer_adapters();      // operators whose meaning changed
std::span<const Adapter> function_adapters();   // operators that are written as their bodies
std::span<const Adapter> spectrum_adapters();   // Fourier transforms

}  // namespace thimble::formats::onnx

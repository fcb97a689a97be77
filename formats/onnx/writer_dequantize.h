#pragma once
// A quantized weight as nodes that give its numbers: what any operator can read.

#include "formats/onnx/writer_emit.h"
#include "formats/onnx/writer_streams.h"

namespace thimble::formats::onnx {

// How the codes are written: in 4 bits where rows of them fill whole bytes, otherwise in 8.
CodeForm dequantized_form(const ir::Weight& weight);

// Where `emit` stands: DequantizeLinear, per axis or in blocks (opset 21), and the sum with minima
// where there are any. With `folded`, a Cast and a Mul instead, where zeros and groups allow it:
// ONNX Runtime computes these when it loads a model, and DequantizeLinear in each call.
ir::ValueId dequantized(const ir::Model& model, ir::WeightId id, bool folded, Emitter& emit);

}  // namespace thimble::formats::onnx

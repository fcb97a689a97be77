#pragma once
// Weights of a few bits as com.microsoft's operators store them: unsigned codes packed low bits
// first into blocks along the inputs, a scale per block, and a zero point per block.

#include <optional>

#include "ir/model.h"

namespace thimble::formats::onnx {

// A matrix [rows, inputs], w = scale * (code - zero). `codes` holds for each row its blocks one
// after the other; the last one may be padded. With b = ceil(inputs / block) blocks in a row:
// `scales` are rows * b floats of 16 or 32 bits; `zeros` either integers packed as the codes are,
// each row on its own bytes, or rows * b floats of the scales' type.
struct Blockwise {
  std::int64_t rows = 0;
  std::int64_t inputs = 0;
  std::int64_t block = 0;  // inputs that share a scale: a power of two, at least 16
  int bits = 0;            // 2, 4 or 8
  bool is_signed = false;  // codes and zero points in two's complement
  int default_zero = 0;    // where there are no zero points
  ir::Weight codes;
  ir::Weight scales;
  std::optional<ir::Weight> zeros;
};

// The weight, on its own grid, reading its parts where they are: one weight for equal parts, added
// to the model on first use. Errors say which part has the wrong size or type.
Expected<ir::WeightId> blockwise_weight(ir::Model& model, const Blockwise& parts);

}  // namespace thimble::formats::onnx

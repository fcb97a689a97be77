#pragma once
// Weights as bitsandbytes packs them and com.microsoft's MatMulBnb4 reads them: codes of 4 bits
// that stand for floats of a table, in blocks that run on from row to row, with a scale each. Their
// levels lie on no grid of ours, so such a weight is read as floats.

#include "ir/model.h"

namespace thimble::formats::onnx {

// A matrix [rows, inputs], w = table[code] * scale. `codes` are ceil(rows * inputs / 2) bytes in
// row-major order, the first of two codes in a byte's high half; `scales` are a float of 16 or 32
// bits for each `block` of codes.
struct Bnb4 {
  std::int64_t rows = 0;
  std::int64_t inputs = 0;
  std::int64_t block = 0;
  bool normal = false;  // NF4's table, else FP4's
  ir::Weight codes;
  ir::Weight scales;
};

// The weight, of the scales' type, which reads its parts where they are; added to the model. Errors
// say which part has the wrong size or type.
Expected<ir::WeightId> bnb4_weight(ir::Model& model, Bnb4 parts);

}  // namespace thimble::formats::onnx

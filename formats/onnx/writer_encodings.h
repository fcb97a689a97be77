#pragma once
// Quantized weights as ONNX has them: integer initializers and the operators that read them.
//
//   products   MatMulNBits, where groups are whole blocks of 16 inputs or more (its block is the
//              largest power of two, up to 256, that divides the group; a scale per row is
//              repeated)
//              - 5 to 8 bits with a scale per row, and activations that are int8 with a scale of
//                their own time: DynamicQuantizeLinear, MatMulInteger (one scale for all of x)
//              - the same with activations that are int8 with a fixed scale: DequantizeLinear of
//                both, which ONNX Runtime fuses
//   look-ups   GatherBlockQuantized, sharing its codes with a MatMulNBits of the same weight
//   all else   DequantizeLinear: per axis, or in blocks (opset 21), codes i4 or i8; for
//              convolutions in f32, Cast and Mul, which ONNX Runtime computes when it loads
// Minima that are no multiples of the scale are a second product, of the blocks' sums. Values with
// a fixed scale go through QuantizeLinear and DequantizeLinear before quantized products and
// convolutions; a convolution's or Gemm's bias is then i32 in units of both scales.
// Codes of 3 bits are written in 4, those of 5 to 7 in 8: the same numbers.

#include <optional>
#include <string>
#include <vector>

#include "ir/model.h"

namespace thimble::formats::onnx {

struct EncodingOptions {
  // Of MatMulNBits: how x may be rounded; 4: int8, 1: not; none: as its activation scheme says.
  std::optional<std::int64_t> accuracy_level = {};
  bool decode_all = false;   // every weight as f32
  bool decode_rest = false;  // as f32 what has no other form
};

// Leaves dense weights only. Gives what a user should be told, a line each; an encoding without a
// form in ONNX is an error that names the weight.
Expected<std::vector<std::string>> write_encodings(ir::Model& model,
                                                   const EncodingOptions& options);

// About what a weight with streams (writer_streams.h) takes: as products have it.
std::uint64_t encoded_bytes(const ir::Weight& weight);

}  // namespace thimble::formats::onnx

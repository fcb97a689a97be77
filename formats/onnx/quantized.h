#pragma once
// Quantized models that others made: QuantizeLinear and DequantizeLinear around float operators, or
// operators on integers.

#include "ir/model.h"

namespace thimble::formats::onnx {

// In the main graph, whose shapes are inferred:
// - QLinearConv and QLinearMatMul with constant parameters become Conv and MatMul between
//   DequantizeLinear and QuantizeLinear, which is how they are defined;
// - constants of 8 bits that DequantizeLinear hands to a product or convolution become weights on
//   their own grid, read where they are, and those of 32 bits floats;
// - a value that goes through QuantizeLinear and DequantizeLinear of one scale on its way to
//   operators that compute on codes has a fixed scale instead, and operators of floats read it
//   unrounded.
// What fits none of these stays as it is: MatMulInteger and ConvInteger of what
// DynamicQuantizeLinear gives, too, for our own int8 rows have a scale for each 32 inputs and give
// other numbers. Lowering makes one instruction of each (lib/lower/integer_product.cpp).
Status recognize_quantized(ir::Model& model);

}  // namespace thimble::formats::onnx

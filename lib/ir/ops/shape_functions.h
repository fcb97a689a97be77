#pragma once
// The shape functions that the operator table names.

#include "ir/dim.h"
#include "support/expected.h"

namespace thimble::ir {

class ShapeContext;

namespace shapes {

// elementwise.cpp
Status same_as_input(ShapeContext& c);       // one input's type and shape
Status integer_preserving(ShapeContext& c);  // the same, and the elements too
Status arithmetic(ShapeContext& c);  // any number of inputs, broadcast; data of Add, Sub, Mul, ...
Status comparison(ShapeContext& c);  // broadcast to bool
Status where(ShapeContext& c);
Status cast(ShapeContext& c);
Status constant(ShapeContext& c);
Status constant_of_shape(ShapeContext& c);

// layout.cpp
Status reshape(ShapeContext& c);
Status transpose(ShapeContext& c);
Status unsqueeze(ShapeContext& c);
Status squeeze(ShapeContext& c);
Status flatten(ShapeContext& c);
Status expand(ShapeContext& c);
Status shape_of(ShapeContext& c);

// selection.cpp
Status concat(ShapeContext& c);
Status slice(ShapeContext& c);
Status split(ShapeContext& c);
Status gather(ShapeContext& c);
Status range(ShapeContext& c);

// gathering.cpp
Status gather_elements(ShapeContext& c);
Status gather_nd(ShapeContext& c);
Status non_zero(ShapeContext& c);
Status one_hot(ShapeContext& c);
Status tile(ShapeContext& c);
Status size(ShapeContext& c);
Status eye_like(ShapeContext& c);
Status linear_attention(ShapeContext& c);
Status causal_convolution(ShapeContext& c);

// arithmetic.cpp
Status predicate(ShapeContext& c);  // one input's shape, of bool
Status cast_like(ShapeContext& c);
Status bit_cast(ShapeContext& c);
Status quantize(ShapeContext& c);
Status dequantize(ShapeContext& c);
Status quantize_dynamically(ShapeContext& c);
Status matmul_integer(ShapeContext& c);
Status matmul_quantized(ShapeContext& c);
Status arg_reduce(ShapeContext& c);
Status top_k(ShapeContext& c);
Status determinant(ShapeContext& c);
Status einsum(ShapeContext& c);

// products.cpp
// numpy's matmul: a vector on either side is a row or a column whose dimension goes again.
Expected<Shape> matmul_shape(Shape a, Shape b);
Status matmul(ShapeContext& c);
Status gemm(ShapeContext& c);
Status reduce(ShapeContext& c);
Status along_axis(ShapeContext& c);  // Softmax, CumSum: checks the axis
Status normalization(ShapeContext& c);
Status rotary_embedding(ShapeContext& c);
Status attention(ShapeContext& c);

// windows.cpp
Status conv(ShapeContext& c);
Status conv_integer(ShapeContext& c);
Status conv_quantized(ShapeContext& c);
Status conv_transpose(ShapeContext& c);
Status pool(ShapeContext& c);  // and the indices of MaxPool
Status global_pool(ShapeContext& c);
Status max_unpool(ShapeContext& c);
Status columns_to_image(ShapeContext& c);

// images.cpp
Status resize(ShapeContext& c);
Status pad(ShapeContext& c);
Status center_crop_pad(ShapeContext& c);
Status blocks(ShapeContext& c);  // DepthToSpace, SpaceToDepth
Status batch_normalization(ShapeContext& c);
Status grid_sample(ShapeContext& c);
Status affine_grid(ShapeContext& c);
Status roi_align(ShapeContext& c);
Status recurrent(ShapeContext& c);  // LSTM, GRU, RNN

}  // namespace shapes
}  // namespace thimble::ir

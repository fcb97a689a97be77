#pragma once
// The shape functions that the operator table names.

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

// products.cpp
Status matmul(ShapeContext& c);
Status gemm(ShapeContext& c);
Status reduce(ShapeContext& c);
Status along_axis(ShapeContext& c);  // Softmax, CumSum: checks the axis
Status normalization(ShapeContext& c);
Status rotary_embedding(ShapeContext& c);
Status attention(ShapeContext& c);

}  // namespace shapes
}  // namespace thimble::ir

#pragma once
// Operators of the domain `thimble` as the standard nodes that they stand for, and operators in the
// form that ONNX Runtime takes.

#include "ir/model.h"

namespace thimble::formats::onnx {

// In every graph of the model. One that has no such body is an error that names the node.
Status expand_own_operators(ir::Model& model);

}  // namespace thimble::formats::onnx

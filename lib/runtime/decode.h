#pragma once
// Rows of a tensor as f32, however it is laid out: for comparing files.

#include <vector>

#include "program/bundle.h"

namespace thimble::runtime {

std::int64_t tensor_rows(const program::Tensor& tensor);  // row-major: the first dimension's
Expected<std::vector<float>> decode_row(const program::Bundle& bundle,
                                        const program::Tensor& tensor, std::int64_t row);

}  // namespace thimble::runtime

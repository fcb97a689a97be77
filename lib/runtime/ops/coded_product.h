#pragma once
// What products of codes that were found as the model ran share: those of rows (coded_product.cpp)
// and of an image's windows (coded_window_product.cpp).

#include "runtime/ops/numbers.h"

namespace thimble::runtime {

enum ProductOperand : std::size_t { kX, kWeight, kSums, kFactor, kXScale, kXZero, kBias, kZero };

// Null: absent.
template <class T>
const T* operand_of(const Call& call, ProductOperand operand) {
  const Value* value = input_at(call, operand);
  return value != nullptr ? data_of<T>(*value) : nullptr;
}

Status check_product_vectors(const Call& call, std::int64_t outputs);
// kernels::Dequantize's offset and factor of each output, in integers that wrap around, as the sums
// of MatMulInteger and ConvInteger do.
void prepare_product_terms(const Call& call, std::int64_t inputs, std::int64_t outputs,
                           std::int32_t* offset, float* factor);

// Is the weight a convolution's, [outputs, channels of a group, kernel...]?
bool is_window_product(const Call& call);
Status shape_window_product(const Call& call, std::vector<Dims>& results);
std::size_t scratch_window_product(const Call& call);
Status run_window_product(Call& call);

}  // namespace thimble::runtime

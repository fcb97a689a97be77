#pragma once
// What a convolution does with its sums before it stores them: inputs (.., [b], [addend], [scale])
// from the third on, ints `function`, floats `clip`.

#include "runtime/ops/operands.h"

namespace thimble::runtime {

// Of a convolution with `outputs` channels and a result of these dims.
Status check_epilogue(const Call& call, std::int64_t outputs, const Dims& result);
kernels::Epilogue epilogue_of(const Call& call);
// The same from output `o` on, whose places start at element `at` of the result.
inline kernels::Epilogue moved(const kernels::Epilogue& e, std::int64_t o, std::int64_t at) {
  kernels::Epilogue out = e;
  if (e.scale != nullptr) out.scale = e.scale + o;
  if (e.bias != nullptr) out.bias = e.bias + o;
  if (e.addend != nullptr) out.addend = e.addend + at;
  return out;
}

}  // namespace thimble::runtime

#include "runtime/ops/epilogue.h"

namespace thimble::runtime {
namespace {

bool has_kernel(program::UnaryFunction function) {
  using F = program::UnaryFunction;
  return function <= F::kRelu || function == F::kHardSwish;
}

bool is_vector(const Value* value, std::int64_t count) {
  return value == nullptr || (value->type == program::Type::kF32 && value->count() == count);
}

}  // namespace

Status check_epilogue(const Call& call, std::int64_t outputs, const Dims& result) {
  const Value *bias = input_at(call, 2), *addend = input_at(call, 3), *scale = input_at(call, 4);
  THIMBLE_TRY(demand(is_vector(bias, outputs), "a convolution's bias has the wrong type or shape"));
  THIMBLE_TRY(demand(is_vector(scale, outputs) && (scale == nullptr || bias != nullptr),
                     "a convolution's scale has the wrong type or shape, or no bias"));
  const bool fits =
      addend == nullptr || (addend->type == program::Type::kF32 && addend->dims == result);
  THIMBLE_TRY(demand(fits, "what is added to a convolution has the wrong type or shape"));
  const std::int64_t function = call.instruction.integer("function", 0);
  const bool known = function >= 0 && function <= std::int64_t{255} &&
                     has_kernel(static_cast<program::UnaryFunction>(function));
  THIMBLE_TRY(demand(known, "a convolution's function has no kernel"));
  const program::Attribute* clip = call.instruction.find("clip");
  return demand(clip == nullptr || clip->floats.size() == 2, "clip takes two bounds");
}

kernels::Epilogue epilogue_of(const Call& call) {
  kernels::Epilogue e;
  if (const Value* bias = input_at(call, 2)) e.bias = bias->floats();
  if (const Value* addend = input_at(call, 3)) e.addend = addend->floats();
  if (const Value* scale = input_at(call, 4)) e.scale = scale->floats();
  e.function = static_cast<kernels::Function>(call.instruction.integer("function", 0));
  if (const program::Attribute* clip = call.instruction.find("clip")) {
    e.clipped = true;
    e.low = clip->floats[0];
    e.high = clip->floats[1];
  }
  return e;
}

}  // namespace thimble::runtime

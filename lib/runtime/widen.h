#pragma once
// Floats of two bytes as f32.

#include <cstdint>

#include "program/program.h"

namespace thimble::runtime {

inline bool is_narrow(program::Type type) {
  return type == program::Type::kF16 || type == program::Type::kBF16;
}

// `count` elements of a narrow type from the first one at `from`.
void widen(program::Type type, const void* from, std::int64_t count, float* to);

}  // namespace thimble::runtime

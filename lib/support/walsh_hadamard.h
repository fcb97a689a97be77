#pragma once
// The butterflies of the Walsh-Hadamard transform.

#include <cstdint>

namespace thimble {

// x [size] becomes H x, not scaled; H is Sylvester's matrix of 1 and -1, and size a power of two.
template <class T>
void walsh_hadamard(T* x, std::int64_t size) {
  for (std::int64_t half = 1; half < size; half *= 2) {
    for (std::int64_t begin = 0; begin < size; begin += 2 * half) {
      for (std::int64_t i = begin; i < begin + half; ++i) {
        const T a = x[i], b = x[i + half];
        x[i] = a + b;
        x[i + half] = a - b;
      }
    }
  }
}

}  // namespace thimble

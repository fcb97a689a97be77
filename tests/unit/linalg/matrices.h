#pragma once
// Random matrices, and a loop over the machine's variants.

#include <cstdint>
#include <vector>

#include "linalg/gemm.h"
#include "support/rng.h"

namespace thimble::test {

template <class T>
std::vector<T> random_matrix(std::int64_t count, std::uint64_t seed) {
  Rng rng(seed, "matrix");
  std::vector<T> out(static_cast<std::size_t>(count));
  for (T& x : out) x = static_cast<T>(rng.normal());
  return out;
}

template <class F>
void each_gemm_variant(F f) {
  for (const linalg::GemmKernels* variant : linalg::gemm_variants()) {
    if (kernels::cpu_has(variant->isa)) f(*variant);
  }
}

}  // namespace thimble::test

#pragma once
// Eigenvalues in f64, by Eigen without vector instructions, on one thread: the
// same bits on every machine.

#include <cstdint>
#include <span>
#include <vector>

#include "support/expected.h"

namespace thimble::linalg {

struct SymmetricEigen {
  std::vector<double> values;   // [n], the largest first
  std::vector<double> vectors;  // [n, n], row i belongs to values[i]; unit length, its largest
                                // element by size (the first of equals) is positive
};

// Of a symmetric matrix [n, n], row-major; only its lower triangle is read. A number that isn't
// finite is an error.
Expected<SymmetricEigen> symmetric_eigen(std::span<const double> a, std::int64_t n);

}  // namespace thimble::linalg

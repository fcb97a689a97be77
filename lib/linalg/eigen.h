#pragma once
// Eigenvalues and singular values in f64, by Eigen without vector instructions, on one thread: the
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

// A = U diag(s) V, with r = min(rows, columns).
struct ThinSvd {
  std::vector<double> u;  // [rows, r], orthonormal columns
  std::vector<double> s;  // [r], the largest first
  std::vector<double> v;  // [r, columns], orthonormal rows, signs as in SymmetricEigen
};

// Of a matrix [rows, columns], row-major. A number that isn't finite is an error.
Expected<ThinSvd> thin_svd(std::span<const double> a, std::int64_t rows, std::int64_t columns);

}  // namespace thimble::linalg

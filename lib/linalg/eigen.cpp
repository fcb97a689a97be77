#include "linalg/eigen.h"

#include <cmath>

#include <Eigen/Dense>

namespace thimble::linalg {
namespace {

using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// Eigen asks the machine for its caches and blocks its products by them, and so its sums.
void fix_caches() {
  static const bool done = [] {
    Eigen::setCpuCacheSizes(32768, 262144, 2097152);
    return true;
  }();
  (void)done;
}

Status check(std::span<const double> a) {
  for (const double x : a) {
    if (!std::isfinite(x)) return invalid_argument("the matrix holds a number that is not finite");
  }
  return ok();
}

// -1 where a vector's sign is to be turned.
template <class Vector>
double sign_of(const Vector& v) {
  double most = 0, sign = 1;
  for (Eigen::Index i = 0; i < v.size(); ++i) {
    if (std::fabs(v(i)) > most) {
      most = std::fabs(v(i));
      sign = v(i) < 0 ? -1 : 1;
    }
  }
  return sign;
}

}  // namespace

Expected<SymmetricEigen> symmetric_eigen(std::span<const double> a, std::int64_t n) {
  THIMBLE_CHECK(std::ssize(a) == n * n, "the matrix is [n, n]");
  fix_caches();
  for (std::int64_t i = 0; i < n; ++i) {
    THIMBLE_TRY(check(a.subspan(static_cast<std::size_t>(i * n), static_cast<std::size_t>(i + 1))));
  }
  const Eigen::MatrixXd matrix = Eigen::Map<const RowMajor>(a.data(), n, n);
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(matrix);
  if (solver.info() != Eigen::Success) return unsupported("eigenvalues did not converge");
  SymmetricEigen out;
  out.vectors.resize(a.size());
  for (std::int64_t i = 0; i < n; ++i) {
    const std::int64_t from = n - 1 - i;  // Eigen's are the smallest first
    const auto vector = solver.eigenvectors().col(from);
    const double sign = sign_of(vector);
    out.values.push_back(solver.eigenvalues()(from));
    for (std::int64_t j = 0; j < n; ++j) {
      out.vectors[static_cast<std::size_t>(i * n + j)] = sign * vector(j);
    }
  }
  return out;
}

}  // namespace thimble::linalg

#pragma once
// Scales refitted to codes that stay: least squares in a layer's outputs, all groups of a row at
// once.

#include <span>

#include "ir/weight.h"
#include "quant/weight_matrix.h"
#include "support/expected.h"
#include "support/thread_pool.h"

namespace thimble::quant {

struct ScaleFit {
  ir::Rows rows;  // the streams with other scales
  // Sums over rows of e H e^T, e = w - decoded, before and after.
  double error_before = 0, error = 0;
};

// For weights and their affine streams (not per tensor): the scales that
// solve the normal equations sum_h (u_g H_gh u_h^T) s_h = u_g H_g (w - m)^T of each row, u the
// codes less their zero, m the minima. They are drawn to what they were by 1e-6 of the equations'
// mean diagonal, so that groups without codes or inputs keep theirs, and rounded to the encoding's
// scale_type; a row that rounding makes worse keeps its own. `hessian` is X^T X [inputs, inputs],
// of which the lower triangle is read. The same on every machine and for any number of threads.
Expected<ScaleFit> fit_scales(const WeightMatrix& weights, const ir::Rows& streams,
                              const ir::Encoding& encoding, std::span<const double> hessian,
                              ThreadPool& pool);

}  // namespace thimble::quant
